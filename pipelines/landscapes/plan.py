"""The plan of a scene: everything that is decided before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.landscapes.animals import Animal
from pipelines.landscapes.buildings import Building
from pipelines.landscapes.forest import Forest
from pipelines.landscapes.ground import Cover
from pipelines.landscapes.light import Light
from pipelines.landscapes.sky import Clouds
from pipelines.landscapes.terrain import Relief
from pipelines.landscapes.trees import Tree
from pipelines.landscapes.water import Ripples


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
