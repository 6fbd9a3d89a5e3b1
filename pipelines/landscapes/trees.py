"""Single trees and bushes near the camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipelines.landscapes.canvas import Canvas, Patch, View, cast_shadow, patch_of, stamp
from pipelines.landscapes.ground import PLANT
from pipelines.landscapes.light import Light
from pipelines.landscapes.noise import Dice, Flags, Floats, Triple, texture_at
from pipelines.landscapes.solids import Capsule, join

Species = Literal["conifer", "broadleaf", "poplar", "bush"]
_BARK = np.array([0.075, 0.055, 0.04], np.float32)


@dataclass(frozen=True)
class Tree:
    """One tree: its foot is ``x`` metres to the right at depth ``z``; heights in metres."""

    x: float
    z: float
    height: float
    species: Species
    leaves: Triple
    salt: int


def paint_tree(view: View, canvas: Canvas, light: Light, tree: Tree, foot: float) -> None:
    """Draw a tree that stands at ``foot`` metres above the water."""
    half_width = tree.height * {"conifer": 0.30, "broadleaf": 0.5, "poplar": 0.17, "bush": 0.95}[tree.species]
    middle, width = view.column(tree.x, tree.z), view.focal * half_width / tree.z
    base, top = view.row(foot, tree.z), view.row(foot + tree.height * 1.04, tree.z)
    patch = patch_of(view, middle - width, middle + width, top, base)
    if patch is None:
        return
    cast_shadow(view, canvas, tree.x, foot, tree.z, half_width * 0.8, light.sun)
    scale = np.float32(tree.z / (view.focal * tree.height))
    u = (patch.x - np.float32(middle)) * scale
    v = (np.float32(base) - patch.y) * scale
    leaves = _leaf_texture(view, patch, tree)
    if tree.species == "conifer":
        shape, lit = _conifer(u, v, leaves, light)
        trunk = 0.022
    else:
        shape, lit = _crown(tree, u, v, leaves, light)
        trunk = 0.0 if tree.species == "bush" else 0.030
    albedo = np.array(tree.leaves, np.float32) * (1 + 0.75 * leaves)[..., None]
    colour = np.maximum(albedo, 0.004) * light.on(lit)
    wood = (np.abs(u) < np.float32(trunk) * (1.25 - v)) & (v < 0.6) & ~shape
    if trunk:
        bark = np.clip(0.35 + u * np.float32(9 * light.sun[0] / trunk * 0.03), 0, 1)
        colour[wood] = (_BARK * light.on(np.broadcast_to(bark, wood.shape) * np.float32(0.6)))[wood]
    hazy = light.through_haze(colour, np.full((1, 1), tree.z, np.float32))
    stamp(canvas, patch, hazy, shape | wood, PLANT, tree.z)


def _leaf_texture(view: View, patch: Patch, tree: Tree) -> Floats:
    """Clumps of leaves, which grow with the tree's size in the image, and single leaves, which do not."""
    size = view.focal * tree.height / tree.z
    x, y = patch.x * np.float32(view.height), patch.y * np.float32(view.height)
    clumps = texture_at(patch.x * np.float32(110 / size), patch.y * np.float32(110 / size), tree.salt)
    sprays = texture_at(x, y, tree.salt + 7) - texture_at(x + 2, y + 1, tree.salt + 7)
    return clumps * np.float32(0.8) + sprays * np.float32(0.7)


def _conifer(u: Floats, v: Floats, leaves: Floats, light: Light) -> tuple[Flags, Floats]:
    """Tiers of branches that hang over the tier below."""
    tier = v * np.float32(11) + 0.35 * leaves + np.abs(u) * np.float32(3.5)
    within = tier - np.floor(tier)
    half = (1 - v) * (0.27 - 0.11 * within) + 0.035 * leaves * (1.1 - v)
    side = u / np.maximum(half, np.float32(1e-3))
    shape = (np.abs(side) < 1) & (v > 0.07)
    lit = 0.34 + 0.36 * side * np.float32(light.sun[0]) - 0.30 * (within - 0.5) + 0.25 * leaves
    lit = (lit - max(light.sun[2], 0) * np.float32(0.25)) * np.minimum(1, 0.35 + v * 2)
    return shape, np.clip(lit, 0, 1)


def _crown(tree: Tree, u: Floats, v: Floats, leaves: Floats, light: Light) -> tuple[Flags, Floats]:
    """A crown of overlapping balls of leaves, ragged at the edge."""
    body = join(_balls(tree), u, v, light.sun)
    shape = body.depth + 0.6 * leaves > 0.1
    # The light of the whole crown under the light of its balls keeps them from looking like beads.
    middle = {"poplar": 0.55, "bush": 0.35}.get(tree.species, 0.58)
    whole = u * np.float32(1.6 * light.sun[0]) + (v - np.float32(middle)) * np.float32(1.6 * light.sun[1])
    hollow = np.clip(0.5 + 0.8 * body.depth, 0.3, 1)
    lit = (0.20 + 0.45 * body.light + 0.65 * whole - 0.25 * light.sun[2] + 0.45 * leaves) * hollow
    return shape, np.clip(lit, 0, 1)


def _balls(tree: Tree) -> tuple[Capsule, ...]:
    """The balls of a crown, in tree heights."""
    dice = Dice(tree.salt, 1)
    match tree.species:
        case "poplar":
            width = dice.uniform(0.10, 0.14)
            upper = Capsule(0.0, 0.5, dice.uniform(-0.02, 0.02), 0.93, width, 0.03)
            lower = Capsule(0.0, 0.2, 0.0, 0.5, width * 0.6, width)
            tufts = (_ball(dice, dice.uniform(-0.05, 0.05), dice.uniform(0.25, 0.8), 0.075) for _ in range(7))
            return (lower, upper, *tufts)
        case "bush":
            return tuple(_ball(dice, dice.uniform(-0.62, 0.62), dice.uniform(0.15, 0.6), 0.3) for _ in range(10))
        case _:
            width, balls = dice.uniform(0.8, 1.15), []
            for number in range(16):
                # Rows from the wide middle to the narrow top.
                level = 0.38 + 0.5 * (number % 8) / 7 + dice.uniform(-0.05, 0.05)
                reach = 0.33 * width * (1 - (level - 0.5) * (level - 0.5) * 5)
                balls.append(_ball(dice, dice.uniform(-reach, reach), level, dice.uniform(0.09, 0.15)))
            return (_ball(dice, 0.0, 0.6, 0.24 * width), *balls)


def _ball(dice: Dice, x: float, y: float, radius: float) -> Capsule:
    across, up = radius * dice.uniform(0.85, 1.25), radius * dice.uniform(0.8, 1.1)
    return Capsule(x, y, x, y, across, up)
