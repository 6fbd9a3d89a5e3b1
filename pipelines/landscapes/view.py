"""The camera: where a point of the world falls in the image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipelines.landscapes.noise import Floats


@dataclass(frozen=True)
class View:
    """A level camera ``eye`` metres above the origin that looks along +z (x right, y up).

    Image coordinates are in image heights: x from the middle, y from the top. So a scene
    has the same composition at any size, and a wider image sees more of it.

    Attributes:
        height, width: size of the image in pixels.
        horizon: y of the horizon, 0 = top, 1 = bottom.
        eye: metres above the water, or above the ground where there is none.
        focal: focal length in image heights.
    """

    height: int
    width: int
    horizon: float
    eye: float
    focal: float

    @cached_property
    def x(self) -> Floats:
        """(width,) x of the pixel centres."""
        pixels = np.arange(self.width, dtype=np.float32)
        return (pixels + np.float32(0.5 - self.width / 2)) / np.float32(self.height)

    @cached_property
    def y(self) -> Floats:
        """(height,) y of the pixel centres."""
        return (np.arange(self.height, dtype=np.float32) + np.float32(0.5)) / np.float32(self.height)

    def column(self, x: float, z: float) -> float:
        """Image x of a point ``x`` metres to the right at depth ``z``."""
        return self.focal * x / z

    def row(self, y: float, z: float) -> float:
        """Image y of a point ``y`` metres high at depth ``z``."""
        return self.horizon + self.focal * (self.eye - y) / z
