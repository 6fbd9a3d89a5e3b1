"""The camera, and the image under construction: colour, label and depth, and how objects are put into it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipelines.landscapes.noise import Bytes, Flags, Floats


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


@dataclass(frozen=True)
class Canvas:
    """What is painted so far.

    Attributes:
        colour: (H, W, 3) linear RGB.
        label: (H, W) class ids.
        depth: (H, W) metres; infinite in the sky.
    """

    colour: Floats
    label: Bytes
    depth: Floats


@dataclass(frozen=True)
class Patch:
    """A rectangle of the image that an object may cover.

    Attributes:
        rows, columns: where it lies.
        x: (1, w) and y: (h, 1) image coordinates of its pixels.
    """

    rows: slice
    columns: slice
    x: Floats
    y: Floats


def patch_of(view: View, left: float, right: float, top: float, bottom: float) -> Patch | None:
    """The pixels of a box in image coordinates, or None where it lies outside the image."""
    first_column = max(int((left + view.width / view.height / 2) * view.height), 0)
    last_column = min(int((right + view.width / view.height / 2) * view.height) + 2, view.width)
    first_row = max(int(top * view.height), 0)
    last_row = min(int(bottom * view.height) + 2, view.height)
    if first_column >= last_column or first_row >= last_row:
        return None
    rows, columns = slice(first_row, last_row), slice(first_column, last_column)
    return Patch(rows, columns, view.x[None, columns], view.y[rows, None])


def stamp(canvas: Canvas, patch: Patch, colour: Floats, shape: Flags, label: int, z: float | Floats) -> None:
    """Paint the pixels of ``shape`` that nothing nearer hides.

    Args:
        canvas: changed in place.
        patch: where.
        colour: (h, w, 3) linear RGB, haze included.
        shape: (h, w) the object's pixels.
        label: its class id.
        z: its depth in metres, one or (h, w).
    """
    # Objects stand on ground whose depth wavers between slices; the tolerance keeps their feet.
    seen = shape & (canvas.depth[patch.rows, patch.columns] > np.float32(0.93) * z)
    canvas.colour[patch.rows, patch.columns][seen] = colour[seen]
    canvas.label[patch.rows, patch.columns][seen] = label
    canvas.depth[patch.rows, patch.columns][seen] = z[seen] if isinstance(z, np.ndarray) else z


def cast_shadow(
    view: View, canvas: Canvas, x: float, y: float, z: float, radius: float, sun: tuple[float, float, float]
) -> None:
    """Darken the ground beside an object's foot, away from the sun.

    Args:
        view, canvas: the image, changed in place.
        x, y, z: the foot, metres.
        radius: half the object's width, metres.
        sun: unit vector towards the sun.
    """
    reach = radius * (1 + min(0.6 / max(sun[1], 0.2), 2.0) * abs(sun[0]))
    middle = view.column(x - (reach - radius) * (1 if sun[0] > 0 else -1), z)
    half_width = view.focal * reach / z
    foot = view.row(y, z)
    half_height = max(half_width * min(0.5, view.eye / z * 1.6), 1.2 / view.height)
    patch = patch_of(view, middle - half_width, middle + half_width, foot - half_height, foot + half_height)
    if patch is None:
        return
    across = (patch.x - np.float32(middle)) * np.float32(1 / half_width)
    down = (patch.y - np.float32(foot)) * np.float32(1 / half_height)
    inside = np.clip((1 - across * across - down * down) * 2, 0, 1)
    away = np.abs(canvas.depth[patch.rows, patch.columns] - np.float32(z)) * np.float32(1 / (0.4 * z))
    near = 1 - np.minimum(away, 1)
    depth = min(0.62, 0.25 + sun[1] * 0.6)
    canvas.colour[patch.rows, patch.columns] *= (1 - inside * near * np.float32(depth))[..., None]
