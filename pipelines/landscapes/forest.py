"""Forests: every slice of the land may carry a row of trees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.landscapes.canvas import View
from pipelines.landscapes.light import Light
from pipelines.landscapes.noise import Floats, Triple, fractal_noise, random_at, texture_at
from pipelines.landscapes.terrain import Hits, Slices


@dataclass(frozen=True)
class Forest:
    """Where trees stand in rows, and which.

    Attributes:
        density: 0 = none, 1 = everywhere.
        near, far: metres between which the forest stands.
        height: of its trees, metres.
        conifers: share of conifers among the trees.
        patch: size of the woods, metres.
        highest: metres above which no tree grows.
        tints: linear RGB of conifers and of broadleaf trees.
        salt: which forest.
    """

    density: float
    near: float
    far: float
    height: float
    conifers: float
    patch: float
    highest: float
    tints: tuple[Triple, Triple]
    salt: int


@dataclass(frozen=True)
class Canopy:
    """The trees of all slices, (K, W) each.

    Attributes:
        rise: metres above the ground, 0 where no tree stands.
        side: -1 … 1, from a tree's left to its right edge.
        tone: random brightness of each tree, 0–1.
        conifer: 1 for conifers, 0 for broadleaf trees.
    """

    rise: Floats
    side: Floats
    tone: Floats
    conifer: Floats


def grow(forest: Forest | None, slices: Slices) -> Canopy:
    """Plant the forest on the slices."""
    canopy = Canopy(*(np.zeros_like(slices.height) for _ in range(4)))
    if forest is None:
        return canopy
    rows = np.flatnonzero((slices.z > forest.near) & (slices.z < forest.far))
    if len(rows):
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        for layer in range(2):
            _plant_row(forest, canopy, slices, part, layer)
    return canopy


def _plant_row(forest: Forest, canopy: Canopy, slices: Slices, part: slice, layer: int) -> None:
    """One tree at most in each cell of each slice; two layers let crowns overlap."""
    spacing = np.float32(0.42 * forest.height)
    z = slices.z[part]
    position = slices.x[part] / spacing + np.float32(0.5 * layer)
    cell = np.floor(position)
    column = cell.astype(np.int32)
    # By depth rather than by count, so that another number of slices grows the same woods.
    row = np.floor(slices.z[part] * np.float32(4)).astype(np.int32)[:, None]
    salt = forest.salt + 131 * layer
    size = 0.62 + 0.55 * random_at(column, row, salt)
    conifer = random_at(column, row, salt + 7919) < np.float32(forest.conifers)
    half = np.where(conifer, np.float32(0.36), np.float32(0.5)) * np.minimum(size, 0.98)
    centre = half + (1 - 2 * half) * random_at(column, row, salt + 3301)
    side = (position - cell - centre) / half
    distance = np.minimum(np.abs(side), 1)
    crown = np.where(conifer, 1 - distance, 0.35 + 0.65 * np.sqrt(np.maximum(1 - distance * distance, 0)))
    woods = fractal_noise(cell * (spacing / np.float32(forest.patch)), z / np.float32(forest.patch), forest.salt, 2)
    thinning = np.minimum(1, (z * np.float32(0.042 / 1.4)) / spacing)[:, None]
    grows = (woods * 0.5 + 0.5 < np.float32(forest.density * 1.15)) & (
        random_at(column, row, salt + 5003) < 0.25 + 0.75 * thinning
    )
    height = slices.height[part]
    grows &= (np.abs(side) < 1) & (height > 0.35) & (height < np.float32(forest.highest) * (0.7 + 0.6 * woods))
    grown = slice(part.start, part.stop)
    rise = np.where(grows, crown * size * np.float32(forest.height), 0).astype(np.float32)
    higher = rise > canopy.rise[grown]
    for target, values in zip(
        (canopy.rise, canopy.side, canopy.tone, canopy.conifer), (rise, side, size, conifer), strict=True
    ):
        target[grown] = np.where(higher, values, target[grown])


def colour_forest(
    view: View, light: Light, forest: Forest, canopy: Canopy, slices: Slices, hits: Hits, z: Floats, above: Floats
) -> Floats:
    """Colours (rows, W, 3) that the hit trees have, wherever a tree is hit.

    Args:
        view, light, forest, canopy, slices, hits: the scene.
        z: (rows, W) metres of depth of each pixel.
        above: (rows, W) metres above the ground of each pixel.
    """
    level = np.clip(above / np.maximum(hits.exactly(canopy.rise), np.float32(0.1)), 0, 1)
    side, tone, conifer = hits.exactly(canopy.side), hits.exactly(canopy.tone), hits.exactly(canopy.conifer)
    texel = np.float32(view.height) * np.float32(0.8)
    leaves = texture_at(view.x * texel * 2 + hits.index * 37, view.y[hits.top :, None] * texel * 2, forest.salt)
    open_sky = 0.25 + 0.75 * level
    lit = np.clip(0.42 + 0.38 * side * np.float32(light.sun[0]) + 0.3 * (level - 0.5) + 0.5 * leaves, 0, 1)
    lit *= 0.35 + 0.65 * (hits.exactly(slices.facing) > 0.01)
    if light.sun[2] > 0:
        lit *= np.float32(1 - 0.5 * light.sun[2])
    dark, bright = np.array(forest.tints, np.float32)
    albedo = bright + conifer[..., None] * (dark - bright)
    albedo = albedo * ((0.55 + 0.65 * tone) * (1 + 0.55 * leaves) * open_sky)[..., None]
    colour: Floats = albedo * light.on(lit * np.float32(0.9))
    return colour
