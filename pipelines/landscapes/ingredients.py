"""What layouts are put together from: open country, shores, chains of mountains, woods, herds and villages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pipelines.landscapes.animals import Animal, Kind
from pipelines.landscapes.buildings import Building, Roof
from pipelines.landscapes.facades import Facade, Material
from pipelines.landscapes.forest import Forest
from pipelines.landscapes.ground import Cover
from pipelines.landscapes.light import Light, draw_light
from pipelines.landscapes.noise import Dice, Triple
from pipelines.landscapes.sky import Clouds, draw_clouds
from pipelines.landscapes.terrain import MountainRange, Relief, Shore
from pipelines.landscapes.trees import Species, Tree
from pipelines.landscapes.water import Ripples

Style = Literal["cottage", "house", "block", "tower", "barn"]

_CONIFER_LEAVES: Triple = (0.030, 0.062, 0.030)
_SUMMER_LEAVES: tuple[Triple, ...] = ((0.070, 0.125, 0.028), (0.055, 0.105, 0.030), (0.095, 0.145, 0.035))
_AUTUMN_LEAVES: tuple[Triple, ...] = ((0.34, 0.14, 0.025), (0.30, 0.07, 0.02), (0.36, 0.22, 0.03), (0.12, 0.14, 0.03))

_COATS: dict[Kind, tuple[tuple[Triple, Triple], ...]] = {
    "cow": (
        ((0.55, 0.52, 0.47), (0.025, 0.022, 0.02)),
        ((0.55, 0.52, 0.47), (0.20, 0.07, 0.03)),
        ((0.20, 0.085, 0.035), (0.20, 0.085, 0.035)),
        ((0.03, 0.027, 0.025), (0.03, 0.027, 0.025)),
    ),
    "horse": (
        ((0.16, 0.065, 0.028), (0.16, 0.065, 0.028)),
        ((0.05, 0.03, 0.02), (0.05, 0.03, 0.02)),
        ((0.50, 0.47, 0.43), (0.42, 0.40, 0.37)),
    ),
    "sheep": (((0.62, 0.57, 0.47), (0.56, 0.51, 0.42)),),
    "deer": (((0.22, 0.11, 0.05), (0.19, 0.095, 0.042)),),
    "stork": (((0.68, 0.67, 0.64), (0.66, 0.65, 0.62)),),
}
_SHOULDER: dict[Kind, float] = {"cow": 1.45, "horse": 1.6, "sheep": 0.85, "deer": 1.15, "stork": 0.75}

_PLASTER: tuple[Triple, ...] = (
    (0.62, 0.58, 0.50),
    (0.66, 0.64, 0.60),
    (0.56, 0.42, 0.22),
    (0.50, 0.28, 0.20),
    (0.38, 0.46, 0.52),
    (0.45, 0.48, 0.36),
)
_BRICK: tuple[Triple, ...] = ((0.26, 0.085, 0.05), (0.32, 0.14, 0.08), (0.22, 0.12, 0.09))
_WOOD: tuple[Triple, ...] = ((0.24, 0.045, 0.03), (0.16, 0.10, 0.06), (0.32, 0.28, 0.22), (0.08, 0.05, 0.035))
_TILES: tuple[Triple, ...] = ((0.30, 0.10, 0.05), (0.22, 0.075, 0.045), (0.085, 0.085, 0.095), (0.15, 0.11, 0.08))


@dataclass(frozen=True)
class ScenePlan:
    """A scene in metres; the size of the image plays no part in it.

    Attributes:
        horizon: y of the horizon in image heights from the top.
        eye: height of the camera above the water, metres.
        focal: focal length in image heights.
        light, clouds, relief, cover, forest, ripples: the parts of the landscape.
        trees, buildings, animals: single objects near the camera.
    """

    horizon: float
    eye: float
    focal: float
    light: Light
    clouds: Clouds
    relief: Relief
    cover: Cover
    forest: Forest | None
    ripples: Ripples
    trees: tuple[Tree, ...] = ()
    buildings: tuple[Building, ...] = ()
    animals: tuple[Animal, ...] = ()


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
    leaves = dice.choice(_AUTUMN_LEAVES if autumn else _SUMMER_LEAVES)
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
        (_CONIFER_LEAVES, leaves),
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
    leaves = _AUTUMN_LEAVES if dice.chance(0.2) else _SUMMER_LEAVES
    trees = []
    for _ in range(count):
        z = near + (far - near) * dice.uniform(0, 1) * dice.uniform(0.3, 1)
        kind = dice.choice(kinds)
        height = 1.6 if kind == "bush" else dice.uniform(6, 12)
        trees.append(_draw_tree(dice, dice.uniform(-0.62, 0.62) * z, z, kind, leaves, height))
    return tuple(trees)


def herd(dice: Dice, count: int, z: float, side: float = 0.0) -> tuple[Animal, ...]:
    """Animals of one kind, the first near the middle of the image."""
    kind: Kind = dice.choice(("cow", "cow", "horse", "sheep", "sheep", "deer", "stork"))
    z *= {"cow": 1.0, "horse": 1.0, "sheep": 0.72, "deer": 0.8, "stork": 0.55}[kind]
    animals = [_draw_animal(dice, (dice.uniform(-0.16, 0.16) + 0.18 * side) * z, z, kind)]
    for _ in range(count - 1):
        depth = z * dice.uniform(0.95, 2.3)
        animals.append(_draw_animal(dice, (dice.uniform(-0.42, 0.42) + 0.1 * side) * depth, depth, kind))
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
        buildings.append(_draw_building(dice, bearing * z, z, dice.choice(styles), turn))
    return tuple(buildings)


def row_of_houses(dice: Dice, style: Style) -> tuple[Building, ...]:
    """Houses on both sides of a street that leads away from the camera."""
    half_street, lean = dice.uniform(5.5, 8.5), dice.uniform(-0.05, 0.05)
    buildings = []
    for side in (-1, 1):
        z = dice.uniform(14, 24)
        while z < 95:
            house = _draw_building(dice, 0.0, z, style, 0.0)
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


def _draw_tree(dice: Dice, x: float, z: float, species: Species, leaves: tuple[Triple, ...], height: float) -> Tree:
    """A tree of about ``height`` metres."""
    colour = _CONIFER_LEAVES if species == "conifer" else dice.choice(leaves)
    return Tree(x, z, height * dice.uniform(0.75, 1.25), species, _vary(dice, colour, 0.25), dice.salt())


def _draw_animal(dice: Dice, x: float, z: float, kind: Kind) -> Animal:
    """One animal of a herd."""
    coat, patches = dice.choice(_COATS[kind])
    height = _SHOULDER[kind] * dice.uniform(0.88, 1.12)
    return Animal(x, z, height, kind, dice.chance(0.45), dice.chance(0.5), coat, patches, dice.salt())


def _draw_building(dice: Dice, x: float, z: float, style: Style, turn: float) -> Building:
    """A building; ``turn`` is the tangent of half its rotation, above 0 shows its right side."""
    squared = turn * turn
    rotation = ((1 - squared) / (1 + squared), 2 * turn / (1 + squared))
    width, depth, height, roof_height = _measures(dice, style)
    roof: Roof = "flat" if style in ("block", "tower") else dice.choice(("gable", "gable", "hip"))
    if style == "block" and dice.chance(0.5):
        roof, roof_height = "hip", dice.uniform(2.0, 3.5)
    return Building(
        x=x,
        z=z,
        width=width,
        depth=depth,
        height=height,
        turn=rotation,
        roof=roof,
        roof_height=roof_height,
        facade=_draw_facade(dice, style),
        tiles=_vary(dice, dice.choice(_TILES), 0.2),
    )


def _measures(dice: Dice, style: Style) -> tuple[float, float, float, float]:
    """Width, depth, height of the walls and of the roof, metres."""
    match style:
        case "cottage":
            return dice.uniform(7, 11), dice.uniform(5.5, 8), dice.uniform(2.8, 3.6), dice.uniform(2.4, 4.0)
        case "barn":
            return dice.uniform(10, 16), dice.uniform(7, 10), dice.uniform(3.5, 5.0), dice.uniform(3.5, 5.5)
        case "house":
            return dice.uniform(8, 13), dice.uniform(8, 11), dice.uniform(5.6, 7.5), dice.uniform(2.5, 4.5)
        case "block":
            return dice.uniform(12, 22), dice.uniform(10, 14), dice.uniform(9, 18), 0.0
        case _:
            return dice.uniform(14, 22), dice.uniform(14, 20), dice.uniform(28, 60), 0.0


def _draw_facade(dice: Dice, style: Style) -> Facade:
    material: Material
    match style:
        case "barn":
            material, paint, pane = "wood", dice.choice(_WOOD), (0.22, 0.30)
        case "cottage":
            material = dice.choice(("plaster", "wood", "brick"))
            paint, pane = dice.choice({"plaster": _PLASTER, "wood": _WOOD, "brick": _BRICK}[material]), (0.36, 0.44)
        case "tower":
            material = dice.choice(("glass", "glass", "plaster"))
            paint, pane = (
                ((0.20, 0.21, 0.23), (0.84, 0.70)) if material == "glass" else ((0.42, 0.41, 0.39), (0.5, 0.5))
            )
        case _:
            material = dice.choice(("plaster", "plaster", "brick"))
            paint, pane = dice.choice(_PLASTER if material == "plaster" else _BRICK), (0.40, 0.54)
    frame = (0.06, 0.045, 0.035) if dice.chance(0.3) else (0.68, 0.67, 0.64)
    return Facade(
        material=material,
        paint=_vary(dice, paint, 0.15),
        frame=(0.12, 0.12, 0.13) if material == "glass" else frame,
        floor=dice.uniform(2.7, 3.3),
        bay=dice.uniform(2.2, 3.4),
        pane=pane,
        door=style != "tower",
        salt=dice.salt(),
    )


def _vary(dice: Dice, colour: Triple, share: float) -> Triple:
    """A colour somewhat lighter or darker, warmer or colder."""
    level, warmth = dice.uniform(1 - share, 1 + share), dice.uniform(-share / 3, share / 3)
    return (colour[0] * level * (1 + warmth), colour[1] * level, colour[2] * level * (1 - warmth))
