"""Draws single trees, buildings and animals: kinds, colours and sizes that occur."""

from __future__ import annotations

from typing import Literal

from pipelines.landscapes.animals import Animal, Kind
from pipelines.landscapes.buildings import Building, Roof
from pipelines.landscapes.facades import Facade, Material
from pipelines.landscapes.noise import Dice, Triple
from pipelines.landscapes.trees import Species, Tree

Style = Literal["cottage", "house", "block", "tower", "barn"]

CONIFER_LEAVES: Triple = (0.030, 0.062, 0.030)
SUMMER_LEAVES: tuple[Triple, ...] = ((0.070, 0.125, 0.028), (0.055, 0.105, 0.030), (0.095, 0.145, 0.035))
AUTUMN_LEAVES: tuple[Triple, ...] = ((0.34, 0.14, 0.025), (0.30, 0.07, 0.02), (0.36, 0.22, 0.03), (0.12, 0.14, 0.03))

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


def draw_tree(dice: Dice, x: float, z: float, species: Species, leaves: tuple[Triple, ...], height: float) -> Tree:
    """A tree of about ``height`` metres."""
    colour = CONIFER_LEAVES if species == "conifer" else dice.choice(leaves)
    return Tree(x, z, height * dice.uniform(0.75, 1.25), species, _vary(dice, colour, 0.25), dice.salt())


def draw_animal(dice: Dice, x: float, z: float, kind: Kind) -> Animal:
    """One animal of a herd."""
    coat, patches = dice.choice(_COATS[kind])
    height = _SHOULDER[kind] * dice.uniform(0.88, 1.12)
    return Animal(x, z, height, kind, dice.chance(0.45), dice.chance(0.5), coat, patches, dice.salt())


def draw_building(dice: Dice, x: float, z: float, style: Style, turn: float) -> Building:
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
