"""What layouts are put together from: open country, shores, chains of mountains, woods, herds and villages."""

from __future__ import annotations

from dataclasses import replace

from pipelines.landscapes.animals import Animal, Kind
from pipelines.landscapes.buildings import Building
from pipelines.landscapes.forest import Forest
from pipelines.landscapes.ground import Cover
from pipelines.landscapes.inhabitants import (
    AUTUMN_LEAVES,
    CONIFER_LEAVES,
    SUMMER_LEAVES,
    Style,
    draw_animal,
    draw_building,
    draw_tree,
)
from pipelines.landscapes.light import draw_light
from pipelines.landscapes.noise import Dice, Triple
from pipelines.landscapes.plan import ScenePlan
from pipelines.landscapes.sky import draw_clouds
from pipelines.landscapes.terrain import MountainRange, Relief, Shore
from pipelines.landscapes.trees import Species, Tree
from pipelines.landscapes.water import Ripples


def open_country(dice: Dice) -> ScenePlan:
    """What every layout starts from: light, sky, and grassland without anything on it."""
    return ScenePlan(
        horizon=dice.uniform(0.36, 0.56),
        eye=dice.uniform(1.7, 3.5),
        focal=dice.uniform(0.95, 1.35),
        light=draw_light(dice),
        clouds=draw_clouds(dice),
        relief=Relief(dice.uniform(2, 9), dice.uniform(40, 110), (), None, False, dice.salt()),
        cover=_draw_cover(dice),
        forest=None,
        ripples=Ripples(dice.uniform(0.1, 0.6), _water_colour(dice), 0.0, dice.salt()),
    )


def land(
    plan: ScenePlan,
    *,
    shore: Shore | None = None,
    ranges: tuple[MountainRange, ...] = (),
    swell: float | None = None,
) -> Relief:
    """The plan's land with water, mountains, or hills of another height (metres)."""
    return replace(plan.relief, shore=shore, ranges=ranges, swell=plan.relief.swell if swell is None else swell)


def watched(plan: ScenePlan, dice: Dice) -> ScenePlan:
    """The plan seen from a rise, so that water shows as a surface."""
    return replace(plan, eye=dice.uniform(3.5, 7), horizon=dice.uniform(0.36, 0.5))


def worn(plan: ScenePlan, dice: Dice) -> Cover:
    """Grass with bare ground in it."""
    return replace(
        plan.cover,
        grass=dice.uniform(0.5, 0.68),
        path=dice.uniform(0.7, 1.6),
        path_at=dice.uniform(-0.2, 0.2),
        beach=0.25,
    )


def mountain_chains(dice: Dice, count: int, near: float, height: float) -> tuple[MountainRange, ...]:
    """Mountain chains one behind another, the farther the higher."""
    chains = []
    for number in range(count):
        distance = near * (1 + 0.95 * number) * dice.uniform(0.95, 1.25)
        tall = height * (1 + 0.75 * number) * dice.uniform(0.7, 1.25)
        chains.append(MountainRange(distance, 0.52 * distance, tall, tall * dice.uniform(1.3, 2.2)))
    return tuple(chains)


def woods(dice: Dice, near: float, far: float, density: float) -> Forest:
    """A forest between two depths (metres), in its summer or autumn leaves."""
    autumn = dice.chance(0.25)
    leaves = dice.choice(AUTUMN_LEAVES if autumn else SUMMER_LEAVES)
    conifers = dice.choice((0.0, 0.3, 0.8, 1.0))
    height = dice.uniform(8, 15)
    return Forest(
        density,
        near,
        far,
        height,
        conifers,
        dice.uniform(25, 60),
        dice.uniform(40, 90),
        (CONIFER_LEAVES, leaves),
        dice.salt(),
    )


def scattered(
    dice: Dice,
    count: int,
    near: float,
    far: float,
    species: tuple[Species, ...] = ("conifer", "broadleaf", "broadleaf", "poplar", "bush"),
) -> tuple[Tree, ...]:
    """Single trees between two depths, rarely in the middle of the image's foreground."""
    kinds = (dice.choice(species), dice.choice(species))
    leaves = AUTUMN_LEAVES if dice.chance(0.2) else SUMMER_LEAVES
    trees = []
    for _ in range(count):
        z = near + (far - near) * dice.uniform(0, 1) * dice.uniform(0.3, 1)
        kind = dice.choice(kinds)
        height = 1.6 if kind == "bush" else dice.uniform(6, 12)
        trees.append(draw_tree(dice, dice.uniform(-0.62, 0.62) * z, z, kind, leaves, height))
    return tuple(trees)


def herd(dice: Dice, count: int, z: float, side: float = 0.0) -> tuple[Animal, ...]:
    """Animals of one kind, the first near the middle of the image."""
    kind: Kind = dice.choice(("cow", "cow", "horse", "sheep", "sheep", "deer", "stork"))
    z *= {"cow": 1.0, "horse": 1.0, "sheep": 0.72, "deer": 0.8, "stork": 0.55}[kind]
    animals = [draw_animal(dice, (dice.uniform(-0.16, 0.16) + 0.18 * side) * z, z, kind)]
    for _ in range(count - 1):
        depth = z * dice.uniform(0.95, 2.3)
        animals.append(draw_animal(dice, (dice.uniform(-0.42, 0.42) + 0.1 * side) * depth, depth, kind))
    return tuple(animals)


def village(
    dice: Dice, count: int, near: float, far: float, styles: tuple[Style, ...], side: float = 0.0
) -> tuple[Building, ...]:
    """Buildings between two depths, in a loose row."""
    buildings = []
    for number in range(count):
        z = near + (far - near) * dice.uniform(0, 1) * dice.uniform(0.3, 1)
        bearing = (number + 0.5 + dice.uniform(-0.35, 0.35)) / count * 0.84 - 0.42 + 0.15 * side
        turn = dice.uniform(0.08, 0.35) * (1 if bearing < 0 else -1)
        buildings.append(draw_building(dice, bearing * z, z, dice.choice(styles), turn))
    return tuple(buildings)


def row_of_houses(dice: Dice, style: Style) -> tuple[Building, ...]:
    """Houses on both sides of a street that leads away from the camera."""
    half_street, lean = dice.uniform(5.5, 8.5), dice.uniform(-0.05, 0.05)
    buildings = []
    for side in (-1, 1):
        z = dice.uniform(14, 24)
        while z < 95:
            house = draw_building(dice, 0.0, z, style, 0.0)
            x = side * (half_street + house.width / 2) + lean * z
            buildings.append(replace(house, x=x, z=z + house.depth / 2))
            z += house.depth + dice.choice((0.0, 0.0, 1.5, 4.0))
    return tuple(buildings)


def _draw_cover(dice: Dice) -> Cover:
    lush = dice.uniform(0, 1)
    return Cover(
        grass=1.0,
        patch=dice.uniform(6, 14),
        path=0.0,
        path_at=0.0,
        beach=0.12,
        meadow=(0.085 + 0.05 * (1 - lush), 0.15 + 0.03 * lush, 0.032),
        dry_grass=(0.22 - 0.08 * lush, 0.20 - 0.02 * lush, 0.075),
        soil=dice.choice(((0.24, 0.17, 0.105), (0.30, 0.25, 0.18), (0.20, 0.15, 0.11), (0.27, 0.25, 0.22))),
        rock=dice.choice(((0.19, 0.175, 0.165), (0.23, 0.20, 0.17), (0.15, 0.15, 0.16), (0.24, 0.18, 0.14))),
        flowers=dice.choice((0.0, 0.0, 0.0, 0.04, 0.09)),
        snow_line=dice.choice((90.0, 160.0, 220.0, 1e4)) * dice.uniform(0.85, 1.15),
        green_line=dice.choice((0.0, 60.0, 110.0)),
        salt=dice.salt(),
    )


def _water_colour(dice: Dice) -> Triple:
    return dice.choice(((0.020, 0.055, 0.075), (0.015, 0.070, 0.075), (0.030, 0.050, 0.045), (0.012, 0.035, 0.060)))
