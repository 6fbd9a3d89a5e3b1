"""The lie of the land: rolling ground, shores and ridged mountains as one height field in depth slices, and which slice
each pixel shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.landscapes.canvas import View
from pipelines.landscapes.noise import Flags, Floats, Integers, fade, fractal_noise, value_noise

FARTHEST = 3000.0
"""Metres. Distances beyond a few hundred metres are shortened, as a long lens would."""
SLICE_RATIO = 1.042
"""How much farther each slice lies than the one before."""
MOST_SLICES = 256


@dataclass(frozen=True)
class Shore:
    """Water: a lake between two depths, the sea (``far`` infinite) or a river (``half_width`` small).

    Attributes:
        near, far: metres from the camera to the near and the far shore.
        half_width: metres from the middle of the water to its sides.
        centre: metres that the middle lies to the right, per metre of depth.
        wander: how far the shore line strays, as a share of the depth.
        steepness: rise of the banks, metres a metre.
    """

    near: float
    far: float
    half_width: float
    centre: float
    wander: float
    steepness: float


@dataclass(frozen=True)
class MountainRange:
    """One chain of mountains: where it stands, how deep and high it is (metres)."""

    distance: float
    depth: float
    height: float
    wavelength: float


@dataclass(frozen=True)
class Relief:
    """The height field of a scene.

    Attributes:
        swell: height of the rolling hills far from the camera, metres.
        wavelength: length of the hills, metres.
        ranges: mountain chains, near to far.
        shore: where there is water, if any.
        all_rock: the whole land is mountain (a view from a summit).
        salt: which land.
    """

    swell: float
    wavelength: float
    ranges: tuple[MountainRange, ...]
    shore: Shore | None
    all_rock: bool
    salt: int


@dataclass(frozen=True)
class Slices:
    """The land cut at growing depths; k counts slices from near to far, j columns of the image.

    Attributes:
        z: (K,) depth in metres.
        x: (K, W) metres to the right.
        height: (K, W) metres above the water; below 0 is its bed.
        surface: (K, W) what the camera sees of it: the height, or the water's level.
        rockiness: (K, W) metres that mountains add to the ground.
        facing: (K, W) cosine between the ground and the sun, 0 in shadow.
    """

    z: Floats
    x: Floats
    height: Floats
    surface: Floats
    rockiness: Floats
    facing: Floats


def cut_slices(view: View, relief: Relief, sun: tuple[float, float, float]) -> Slices:
    """Evaluate the land for every column of the image at every depth of :func:`slice_depths`."""
    z = slice_depths(view)
    x = view.x * (z * np.float32(1 / view.focal))[:, None]
    height, rockiness = ground(relief, x, z)
    surface = np.maximum(height, 0) if relief.shore else height
    return Slices(z, x, height, surface, rockiness, _facing(view, z, surface, sun))


def slice_depths(view: View) -> Floats:
    """(K,) depths in geometric progression, from below the image's lower edge to the farthest."""
    nearest = 0.7 * view.focal * view.eye / (1.02 - view.horizon)
    depths = FARTHEST / np.multiply.accumulate(np.full(MOST_SLICES, SLICE_RATIO))
    return depths[depths > nearest][::-1].astype(np.float32)


def ground(relief: Relief, x: Floats, z: Floats) -> tuple[Floats, Floats]:
    """Height of the land and the mountains' share of it, both (n, m) metres.

    Args:
        relief: the land.
        x: (n, m) metres to the right.
        z: (n,) metres of depth, one a row.
    """
    swell = fractal_noise(x * np.float32(1 / relief.wavelength), z * np.float32(1 / relief.wavelength), relief.salt, 3)
    # Flat at the camera's feet, so that nothing near hides the whole image.
    calm = z / (z + np.float32(2.5 * relief.wavelength))
    height = (0.4 + swell) * (calm * calm * np.float32(relief.swell))[:, None]
    if relief.shore is not None:
        bank = _distance_to_water(relief, relief.shore, x, z) * np.float32(relief.shore.steepness)
        height = np.minimum(bank, np.float32(0.5) + np.maximum(height, 0) * np.clip(bank * 0.3, 0, 1))
    rockiness = np.zeros_like(height)
    for number, mountains in enumerate(relief.ranges):
        _raise_mountains(height, rockiness, mountains, x, z, relief.salt + 4099 * (number + 1))
    return height, rockiness


def _distance_to_water(relief: Relief, shore: Shore, x: Floats, z: Floats) -> Floats:
    """Metres from the shore line, positive on land."""
    across = np.maximum(np.float32(shore.near) - z, z - np.float32(shore.far))[:, None]
    bend = value_noise(np.zeros((len(z), 1), np.float32), z * np.float32(1 / 90), relief.salt + 71)
    middle = z[:, None] * (np.float32(shore.centre) + bend * np.float32(0.5 * shore.wander))
    outside = np.maximum(across, np.abs(x - middle) - np.float32(shore.half_width))
    reach = min(max(shore.near, 6.0), 60.0)
    scale = np.float32(3.0 / (reach + 12))
    stray = fractal_noise(x * scale, z * scale, relief.salt + 313, 3)
    metres: Floats = outside + stray * (np.minimum(z, reach * 4) * np.float32(shore.wander))[:, None]
    return metres


def _raise_mountains(
    height: Floats, rockiness: Floats, mountains: MountainRange, x: Floats, z: Floats, salt: int
) -> None:
    """Add one chain to ``height`` and ``rockiness``, in place."""
    position = (z - np.float32(mountains.distance)) * np.float32(1 / mountains.depth)
    profile = np.clip(1 - np.abs(position), 0, 1)
    rows = np.flatnonzero(profile > 0)
    if not len(rows):
        return
    part = slice(int(rows[0]), int(rows[-1]) + 1)
    scale = np.float32(1 / mountains.wavelength)
    u, v = x[part] * scale, z[part] * scale
    massif = np.clip(0.62 + 0.75 * value_noise(u * np.float32(0.45), v * np.float32(0.45), salt + 19), 0.08, 1.3)
    rise = massif * _ridges(u, v, salt) * (fade(profile[part]) * np.float32(mountains.height))[:, None]
    height[part] += rise
    rockiness[part] += rise


def _ridges(u: Floats, v: Floats, salt: int) -> Floats:
    """Ridged multifractal in 0 … about 1: each octave is stronger where the one before made a ridge."""
    total = np.zeros_like(u)
    weight = np.float32(1.0)
    amplitude, frequency = 0.58, 1.0
    for octave in range(6):
        crest = 1 - np.abs(value_noise(u * np.float32(frequency), v * np.float32(frequency), salt + 1009 * octave))
        crest = crest * crest * weight
        total += np.float32(amplitude) * crest
        weight = np.clip(crest * 1.7, 0, 1)
        amplitude, frequency = amplitude * 0.5, frequency * 2.07
    return total


def _facing(view: View, z: Floats, surface: Floats, sun: tuple[float, float, float]) -> Floats:
    """Cosine to the sun of the slices' ground, 0 where a ridge stands in the sun's way."""
    across = np.empty_like(surface)
    across[:, 1:-1] = (surface[:, 2:] - surface[:, :-2]) * np.float32(0.5)
    across[:, 0], across[:, -1] = surface[:, 1] - surface[:, 0], surface[:, -1] - surface[:, -2]
    across *= (np.float32(view.focal * view.height) / z)[:, None]
    ahead = np.empty_like(surface)
    ahead[1:-1] = (surface[2:] - surface[:-2]) / (z[2:] - z[:-2])[:, None]
    ahead[0], ahead[-1] = ahead[1], ahead[-2]
    length = np.sqrt(1 + across * across + ahead * ahead)
    cosine = (np.float32(sun[1]) - np.float32(sun[0]) * across - np.float32(sun[2]) * ahead) / length
    return np.clip(cosine, 0, 1) * _sunlit(view, z, surface, sun)


def _sunlit(view: View, z: Floats, surface: Floats, sun: tuple[float, float, float]) -> Floats:
    """1 in the sun, 0 in the shadow that higher land of the same slice casts sideways."""
    if sun[0] > 0:
        return _sunlit(view, z, surface[:, ::-1], (-sun[0], sun[1], sun[2]))[:, ::-1]
    # With the sun on the left, a point is in shadow when a sunbeam that grazed the land further left passes above it.
    slope = np.float32(sun[1] / max(-sun[0], 1e-3))
    metres = np.arange(view.width, dtype=np.float32) * (z / np.float32(view.focal * view.height))[:, None]
    beam = surface + metres * slope
    clearance = np.maximum.accumulate(beam, axis=1) - beam
    softness = (z * np.float32(0.03))[:, None] + 0.5
    return 1 - fade(np.clip(clearance / softness, 0, 1))


@dataclass(frozen=True)
class Hits:
    """What the rows from ``top`` down show; all arrays are (height - top, width).

    Attributes:
        top: first row in which land or water is seen.
        sky: nothing but sky.
        tree: a tree of the forest at the slice ``index``; ground otherwise.
        index: slice behind which nothing is seen; the ground lies between it and the one before.
        share: how far the ground point lies from slice ``index - 1`` (0) to ``index`` (1).
        flat, before: ``index`` and column, and the slice before it, as indices into raveled slices.
    """

    top: int
    sky: Flags
    tree: Flags
    index: Integers
    share: Floats
    flat: Integers
    before: Integers

    def between(self, values: Floats) -> Floats:
        """Slice values (K, W) at the hit ground points, interpolated between the two slices."""
        raveled = values.ravel()
        before = raveled.take(self.before)
        return before + self.share * (raveled.take(self.flat) - before)

    def exactly(self, values: Floats) -> Floats:
        """Slice values (K, W) of the hit slice itself."""
        return values.ravel().take(self.flat)


def find_hits(view: View, slices: Slices, canopy: Floats) -> Hits:
    """Resolve what hides what.

    Args:
        view: the camera.
        slices: the land.
        canopy: (K, W) metres that the forest rises above the ground, 0 where there is none.
    """
    scale = (np.float32(view.focal * view.height) / slices.z)[:, None]
    ground_row = np.float32(view.horizon * view.height) + (np.float32(view.eye) - slices.surface) * scale
    skyline = np.minimum.accumulate(ground_row - canopy * scale, axis=0)
    first_row: Integers = np.clip(np.ceil(skyline - np.float32(0.5)), 0, view.height).astype(np.int32)
    top = min(int(first_row[-1].min()), view.height - 1)
    num_hidden = _count_above(first_row - top, view.height - top)
    sky = num_hidden == len(slices.z)
    index: Integers = np.minimum(num_hidden, len(slices.z) - 1, dtype=np.int32)
    columns: Integers = np.arange(view.width, dtype=np.int32)
    flat: Integers = index * np.int32(view.width) + columns
    pixel_row = np.arange(top, view.height, dtype=np.float32)[:, None] + np.float32(0.5)
    far_row = ground_row.ravel().take(flat)
    before = flat - np.where(index > 0, np.int32(view.width), np.int32(0))
    near_row = ground_row.ravel().take(before)
    share = np.clip((near_row - pixel_row) / np.maximum(near_row - far_row, np.float32(1e-3)), 0, 1)
    return Hits(top, sky, (far_row > pixel_row) & ~sky, index, share, flat, before)


def _count_above(first_row: Integers, num_rows: int) -> Integers:
    """(num_rows, W): for each pixel, how many slices' skylines start below it."""
    width = first_row.shape[1]
    cells = first_row * np.int32(width) + np.arange(width, dtype=np.int32)
    starts = np.bincount(cells.ravel(), minlength=(num_rows + 1) * width).reshape(-1, width)[:num_rows]
    return (len(first_row) - np.cumsum(starts, axis=0)).astype(np.int32)
