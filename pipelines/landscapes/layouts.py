"""Layouts: the kinds of scenes that occur, from a bare sea to a village by a mountain lake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pipelines.landscapes.ingredients import (
    ScenePlan,
    Style,
    herd,
    land,
    mountain_chains,
    open_country,
    row_of_houses,
    scattered,
    village,
    watched,
    woods,
    worn,
)
from pipelines.landscapes.noise import Dice
from pipelines.landscapes.terrain import MountainRange, Shore

Layout = Callable[[ScenePlan, Dice], ScenePlan]


def draw_plan(seed: int) -> ScenePlan:
    """The scene of a seed: one in five of one or two classes, two in five of three or four, the rest of more.

    Seeds take turns, so that any run of neighbouring seeds, odd or even, has its share of each.
    """
    dice = Dice(seed, 0)
    turn = seed * 7 % 25
    # Moderate layouts turn out richer than meant now and then, hence a little more than two fifths.
    layouts = LOW if turn < 5 else MODERATE if turn < 16 else HIGH
    return dice.choice(layouts)(open_country(dice), dice)


# --- layouts of one or two classes -------------------------------------------------------------


def seascape(plan: ScenePlan, dice: Dice) -> ScenePlan:
    """Nothing but sea and sky."""
    shore = Shore(-1e4, 1e9, 1e9, 0.0, 0.0, 0.1)
    ripples = replace(plan.ripples, strength=dice.uniform(0.3, 1.0))
    return replace(
        plan,
        eye=dice.uniform(2.5, 7),
        horizon=dice.uniform(0.35, 0.62),
        relief=land(plan, shore=shore),
        ripples=ripples,
    )


def summit(plan: ScenePlan, dice: Dice) -> ScenePlan:
    """Mountains from a mountain."""
    chains = (*mountain_chains(dice, 2, near=180, height=130), MountainRange(70, 64, dice.uniform(10, 24), 45))
    relief = replace(land(plan, ranges=chains, swell=dice.uniform(2, 4)), wavelength=12.0, all_rock=True)
    cover = replace(plan.cover, snow_line=dice.uniform(30, 120), green_line=0.0)
    return replace(plan, eye=dice.uniform(6, 14), horizon=dice.uniform(0.42, 0.58), relief=relief, cover=cover)


def prairie(plan: ScenePlan, dice: Dice) -> ScenePlan:
    """Grass to the horizon."""
    relief = replace(land(plan, swell=dice.uniform(3, 12)), wavelength=dice.uniform(18, 70))
    return replace(plan, relief=relief, horizon=dice.uniform(0.35, 0.6))


def desert(plan: ScenePlan, dice: Dice) -> ScenePlan:
    """Dunes or bare earth."""
    soil = dice.choice(((0.48, 0.33, 0.18), (0.42, 0.34, 0.24), (0.36, 0.19, 0.11)))
    cover = replace(plan.cover, grass=-0.5, soil=soil)
    relief = replace(land(plan, swell=dice.uniform(4, 9)), wavelength=dice.uniform(13, 24))
    return replace(plan, relief=relief, cover=cover, eye=dice.uniform(3, 7))


# --- layouts of three or four classes -----------------------------------------------------------


def fjord(plan: ScenePlan, dice: Dice) -> ScenePlan:
    """Mountains that rise from the water."""
    near = dice.uniform(-50, 6)
    shore = Shore(near, dice.uniform(180, 320), 1e9, 0.0, 0.05, 0.12)
    relief = land(plan, shore=shore, ranges=mountain_chains(dice, dice.count(1, 3), near=380, height=200))
    return replace(watched(plan, dice), relief=relief)


def alpine_lake(plan: ScenePlan, dice: Dice) -> ScenePlan:
    """A lake with woods on the far shore, below mountains."""
    shore = Shore(dice.uniform(-20, 8), dice.uniform(110, 220), 1e9, 0.0, 0.10, 0.10)
    relief = land(plan, shore=shore, ranges=mountain_chains(dice, dice.count(1, 2), near=420, height=200))
    return replace(watched(plan, dice), relief=relief, forest=woods(dice, near=80, far=420, density=0.8))


def pasture(plan: ScenePlan, dice: Dice) -> ScenePlan:
    """Animals on grass, a line of trees behind."""
    forest = woods(dice, near=60, far=500, density=dice.uniform(0.3, 0.7))
    return replace(plan, forest=forest, animals=herd(dice, dice.count(2, 6), dice.uniform(6, 12)))


def grove(plan: ScenePlan, dice: Dice) -> ScenePlan:
    """Trees on grass, perhaps with a path."""
    cover = replace(plan.cover, path=dice.uniform(0.8, 1.6), path_at=dice.uniform(-0.15, 0.15))
    forest = woods(dice, near=45, far=600, density=dice.uniform(0.5, 1.0))
    return replace(plan, cover=cover, forest=forest, trees=scattered(dice, dice.count(4, 9), 11, 55))


def coast(plan: ScenePlan, dice: Dice) -> ScenePlan:
    """A beach and the sea."""
    near, centre = dice.uniform(8, 14), dice.uniform(-0.1, 0.1)
    shore = Shore(near, 1e9, 1e9, centre, 0.22, 0.07)
    cover = replace(plan.cover, grass=dice.uniform(0.2, 0.7), beach=dice.uniform(0.5, 0.8), soil=(0.42, 0.34, 0.23))
    ripples = replace(plan.ripples, strength=dice.uniform(0.4, 1.0), foam=0.9)
    trees = scattered(dice, dice.count(0, 3), 5, 9, ("bush",))
    return replace(
        watched(plan, dice), relief=land(plan, shore=shore, swell=1.0), cover=cover, ripples=ripples, trees=trees
    )


def street(plan: ScenePlan, dice: Dice) -> ScenePlan:
    """Houses along a paved street."""
    cover = replace(plan.cover, grass=-0.5, soil=(0.15, 0.15, 0.155))
    tall = dice.chance(0.4)
    style: Style = "tower" if tall and dice.chance(0.5) else "block" if tall else "house"
    trees = scattered(dice, dice.count(0, 4), 12, 40, ("broadleaf", "poplar"))
    relief = land(plan, swell=0.3)
    return replace(plan, cover=cover, relief=relief, buildings=row_of_houses(dice, style), trees=trees)


def farmhouse(plan: ScenePlan, dice: Dice) -> ScenePlan:
    """A house or two on grass among trees."""
    buildings = village(dice, dice.count(1, 2), 18, 34, ("cottage", "house", "barn"))
    trees = scattered(dice, dice.count(2, 6), 14, 60)
    return replace(plan, buildings=buildings, trees=trees, relief=land(plan, swell=dice.uniform(1, 5)))


def mountain_meadow(plan: ScenePlan, dice: Dice) -> ScenePlan:
    """Grass below mountains, with some trees."""
    relief = land(plan, ranges=mountain_chains(dice, dice.count(1, 3), near=350, height=190))
    return replace(plan, relief=relief, trees=scattered(dice, dice.count(1, 4), 12, 50))


# --- layouts of five classes and more -----------------------------------------------------------


def village_valley(plan: ScenePlan, dice: Dice) -> ScenePlan:
    """A village in a valley below mountains, a path that leads there."""
    base = mountain_meadow(plan, dice)
    cover = replace(plan.cover, path=dice.uniform(0.8, 1.8), path_at=dice.uniform(-0.12, 0.12))
    forest = woods(dice, near=90, far=460, density=dice.uniform(0.4, 0.7))
    buildings = village(dice, dice.count(3, 7), 24, 75, ("cottage", "house", "barn", "house"))
    trees = scattered(dice, dice.count(3, 7), 12, 60)
    animals = herd(dice, dice.count(1, 4), dice.uniform(7, 10)) if dice.chance(0.5) else ()
    return replace(base, cover=cover, forest=forest, buildings=buildings, trees=trees, animals=animals)


def alpine_pasture(plan: ScenePlan, dice: Dice) -> ScenePlan:
    """Animals on a meadow by a lake below mountains."""
    base = alpine_lake(plan, dice)
    shore = Shore(dice.uniform(20, 34), dice.uniform(120, 230), 1e9, 0.0, 0.14, 0.10)
    animals = herd(dice, dice.count(2, 6), dice.uniform(7, 11))
    trees = scattered(dice, dice.count(1, 4), 10, 18)
    return replace(base, eye=dice.uniform(3, 5), relief=replace(base.relief, shore=shore), animals=animals, trees=trees)


def lakeside_village(plan: ScenePlan, dice: Dice) -> ScenePlan:
    """Houses on the far shore of a lake, mirrored in it."""
    far = dice.uniform(42, 60)
    shore = Shore(dice.uniform(9, 16), far, 1e9, 0.0, 0.12, 0.12)
    relief = land(plan, shore=shore, swell=dice.uniform(2, 6), ranges=mountain_chains(dice, 2, near=360, height=180))
    buildings = village(dice, dice.count(3, 6), far + 12, far + 45, ("house", "cottage", "house", "block"))
    forest = woods(dice, near=far + 30, far=380, density=dice.uniform(0.5, 0.8))
    trees = scattered(dice, dice.count(3, 7), far + 8, far + 40)
    return replace(
        watched(plan, dice), relief=relief, forest=forest, buildings=buildings, trees=trees, cover=worn(plan, dice)
    )


def river_farm(plan: ScenePlan, dice: Dice) -> ScenePlan:
    """A river through farmland with animals and a house."""
    side = 1.0 if dice.chance(0.5) else -1.0
    shore = Shore(-1e4, 1e9, dice.uniform(1.5, 3), -side * dice.uniform(0.14, 0.3), 0.22, 0.09)
    buildings = village(dice, dice.count(1, 3), 24, 45, ("cottage", "barn", "house"), side)
    forest = woods(dice, near=80, far=500, density=dice.uniform(0.4, 0.8))
    return replace(
        plan,
        eye=dice.uniform(2.6, 4.5),
        relief=land(plan, shore=shore, swell=dice.uniform(1, 5)),
        cover=worn(plan, dice),
        forest=forest,
        buildings=buildings,
        animals=herd(dice, dice.count(2, 5), dice.uniform(8, 13), side),
        trees=scattered(dice, dice.count(3, 6), 14, 50),
    )


def ranch(plan: ScenePlan, dice: Dice) -> ScenePlan:
    """Animals, barns and bare ground below mountains."""
    base = mountain_meadow(plan, dice)
    return replace(
        base,
        cover=worn(plan, dice),
        buildings=village(dice, dice.count(1, 3), 20, 45, ("barn", "cottage", "house")),
        animals=herd(dice, dice.count(2, 6), dice.uniform(7, 12)),
        trees=scattered(dice, dice.count(2, 6), 14, 55),
    )


def harbour_town(plan: ScenePlan, dice: Dice) -> ScenePlan:
    """Blocks and towers across the water, a green near shore."""
    far = dice.uniform(55, 80)
    shore = Shore(dice.uniform(7, 12), far, 1e9, 0.0, 0.06, 0.15)
    buildings = village(dice, dice.count(5, 9), far + 14, far + 90, ("block", "tower", "block", "house"))
    trees = (
        *scattered(dice, dice.count(2, 5), far + 6, far + 14),
        *scattered(dice, dice.count(1, 3), 5, 9, ("bush",)),
    )
    return replace(
        watched(plan, dice),
        relief=land(plan, shore=shore, swell=1.5),
        buildings=buildings,
        trees=trees,
        cover=worn(plan, dice),
    )


LOW: tuple[Layout, ...] = (seascape, summit, prairie, desert)
MODERATE: tuple[Layout, ...] = (
    fjord,
    alpine_lake,
    alpine_lake,
    pasture,
    grove,
    coast,
    street,
    farmhouse,
    mountain_meadow,
)
HIGH: tuple[Layout, ...] = (village_valley, alpine_pasture, lakeside_village, river_farm, ranch, harbour_town)
