"""From a seed to an image and its label map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pipelines.landscapes.animals import paint_animal
from pipelines.landscapes.buildings import paint_building
from pipelines.landscapes.canvas import Canvas, View
from pipelines.landscapes.film import expose
from pipelines.landscapes.forest import colour_forest, grow
from pipelines.landscapes.ground import PLANT, SKY, WATER, Ground, colour_ground
from pipelines.landscapes.ingredients import ScenePlan
from pipelines.landscapes.layouts import draw_plan
from pipelines.landscapes.noise import Bytes, Dice
from pipelines.landscapes.sky import paint_sky
from pipelines.landscapes.terrain import cut_slices, find_hits, ground
from pipelines.landscapes.trees import paint_tree
from pipelines.landscapes.water import paint_water

SMALLEST_SIDE = 32
"""Pixels; below that no scene can be told."""


@dataclass(frozen=True)
class Scene:
    """An image and what it shows.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        label: (H, W) uint8 ids of ``sgenet.label_space.OUTDOOR_SCENES``.
    """

    image: Bytes
    label: Bytes


def render_scene(seed: int, height: int, width: int) -> Scene:
    """Draw the scene of a seed; the same scene at any size, a wider one seen further to the sides.

    Args:
        seed: any non-negative integer. The same seed and size give the same bytes on any machine.
        height, width: pixels, at least :data:`SMALLEST_SIDE` each.

    Raises:
        ValueError: for a negative seed or a side that is too small.
    """
    if seed < 0 or min(height, width) < SMALLEST_SIDE:
        raise ValueError(
            f"a scene needs a seed of at least 0 and sides of at least {SMALLEST_SIDE} pixels, "
            f"found the seed {seed} and {height}×{width}"
        )
    plan = draw_plan(seed)
    view = View(height, width, plan.horizon, plan.eye, plan.focal)
    canvas = _paint(view, plan)
    return Scene(expose(view, canvas.colour, plan.light.exposure, Dice(seed, 1)), canvas.label)


def _paint(view: View, plan: ScenePlan) -> Canvas:
    """Sky, land, what stands beyond the water, the water that mirrors it, and what stands before."""
    canvas, land, top = _paint_land(view, plan)
    water = canvas.label[top:] == WATER
    nearest_water = float(land.z[water].min()) if water.any() else 0.0
    objects = _objects(view, plan, canvas)
    for z, paint in objects:
        if z > nearest_water:
            paint()
    if water.any():
        paint_water(view, canvas, plan.light, plan.ripples, land, top)
    for z, paint in objects:
        if z <= nearest_water:
            paint()
    return canvas


def _paint_land(view: View, plan: ScenePlan) -> tuple[Canvas, Ground, int]:
    """Sky, ground and forest; with the ground points and the first row that shows any."""
    slices = cut_slices(view, plan.relief, plan.light.sun)
    canopy = grow(plan.forest, slices)
    hits = find_hits(view, slices, canopy.rise)
    land = colour_ground(view, plan.light, plan.relief, plan.cover, slices, hits)
    top = hits.top
    colour = np.empty((view.height, view.width, 3), np.float32)
    colour[top:] = land.colour
    label = np.full((view.height, view.width), SKY, np.uint8)
    label[top:] = land.label
    depth = np.full((view.height, view.width), np.inf, np.float32)
    depth[top:] = land.z
    if plan.forest is not None and hits.tree.any():
        z = slices.z[hits.index]
        point = np.float32(view.eye) + (np.float32(view.horizon) - view.y[top:, None]) * z * np.float32(1 / view.focal)
        above = point - hits.exactly(slices.surface)
        leaves = colour_forest(view, plan.light, plan.forest, canopy, slices, hits, z, above)
        colour[top:][hits.tree] = leaves[hits.tree]
        label[top:][hits.tree] = PLANT
        depth[top:][hits.tree] = z[hits.tree]
    colour[top:] = plan.light.through_haze(colour[top:], np.minimum(depth[top:], 1e5))
    num_sky_rows = min(view.height, max(int(view.horizon * view.height) + 4, top + 1))
    sky = paint_sky(view, plan.light, plan.clouds, num_sky_rows)
    colour[:top] = sky[:top]
    open_sky = hits.sky
    label[top:][open_sky] = SKY
    depth[top:][open_sky] = np.inf
    rows = min(num_sky_rows - top, view.height - top)
    colour[top : top + rows][open_sky[:rows]] = sky[top : top + rows][open_sky[:rows]]
    return Canvas(colour, label, depth), land, top


def _objects(view: View, plan: ScenePlan, canvas: Canvas) -> list[tuple[float, Callable[[], None]]]:
    """Depth and painter of every single object that stands on dry land, far to near."""
    found: list[tuple[float, Callable[[], None]]] = []
    kinds: list[tuple[tuple[Any, ...], Callable[..., None]]] = [
        (plan.trees, paint_tree),
        (plan.buildings, paint_building),
        (plan.animals, paint_animal),
    ]
    for things, paint in kinds:
        for thing in things:
            foot = _foot(plan, thing.x, thing.z)
            if foot is not None:
                found.append((thing.z, partial(paint, view, canvas, plan.light, thing, foot)))
    return sorted(found, key=lambda item: -item[0])


def _foot(plan: ScenePlan, x: float, z: float) -> float | None:
    """Height of the ground at a place, or None in the water."""
    height, _ = ground(plan.relief, np.array([[x]], np.float32), np.array([z], np.float32))
    metres = float(height[0, 0])
    return None if plan.relief.shore is not None and metres < 0.08 else metres
