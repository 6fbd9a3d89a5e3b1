"""The plan of a scene: everything that is decided before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.datasets.scenery.animals import Animal
from pipelines.datasets.scenery.buildings import Building
from pipelines.datasets.scenery.forest import Forest
from pipelines.datasets.scenery.ground import Cover
from pipelines.datasets.scenery.light import Light
from pipelines.datasets.scenery.sky import Clouds
from pipelines.datasets.scenery.terrain import Relief
from pipelines.datasets.scenery.trees import Tree
from pipelines.datasets.scenery.water import Ripples


@dataclass(frozen=True)
class ScenePlan:
    """A scene in metres; the size of the picture plays no part in it.

    Attributes:
        horizon: y of the horizon in picture heights from the top.
        eye: height of the camera above the water, metres.
        focal: focal length in picture heights.
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
