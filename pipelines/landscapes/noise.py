"""Random fields of a scene: value noise in perspective rows and a fractal texture.

Everything that draws a scene uses only operations that IEEE 754 rounds exactly (+ − × ÷ √,
comparisons, floor): the same seed gives the same bytes on every machine. So no ``exp``, ``sin``
or ``**``, and no sums whose order a library chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
"""Images and fields are float32 throughout; NumPy's annotations lose the width in mixed arithmetic."""
Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]
Triple = tuple[float, float, float]

_Choice = TypeVar("_Choice")
_LATTICE = 256
_TEXTURE = 512


class Dice:
    """The random decisions of one part of a scene.

    Args:
        seed: the scene's seed, any non-negative integer.
        part: which part of the scene decides; parts do not disturb each other's draws.
    """

    def __init__(self, seed: int, part: int) -> None:
        self._rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, part])))

    def uniform(self, low: float, high: float) -> float:
        """A number in [low, high)."""
        return low + (high - low) * float(self._rng.random())

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return float(self._rng.random()) < probability

    def choice(self, items: Sequence[_Choice]) -> _Choice:
        """One of the items, all equally likely."""
        return items[min(int(self._rng.random() * len(items)), len(items) - 1)]

    def count(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return low + min(int(self._rng.random() * (high - low + 1)), high - low)

    def salt(self) -> int:
        """An offset into the shared lattice and texture, which makes a field this scene's own."""
        return int(self._rng.random() * 65536)

    def grain(self, height: int, width: int) -> Floats:
        """(height, width) noise in (-1, 1), triangular around 0."""
        draws = self._rng.random((2, height, width), dtype=np.float32)
        noise: Floats = draws[0] - draws[1]
        return noise


@lru_cache(maxsize=1)
def lattice() -> Floats:
    """(256, 256) random numbers in [0, 1): the same for every scene, read at a scene's own offsets."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(20200823)))
    return rng.random((_LATTICE, _LATTICE), dtype=np.float32)


@lru_cache(maxsize=1)
def fractal_texture() -> Floats:
    """(512, 512) periodic fractal noise with values about -1 … 1 and nearly as much of fine detail as of coarse."""
    total = np.zeros((_TEXTURE, _TEXTURE), np.float32)
    amplitude, cells = np.float32(0.34), 8
    while cells <= _LATTICE:
        total += amplitude * (_enlarge(_enlarge(lattice()[:cells, :cells]).T).T * 2 - 1)
        cells, amplitude = cells * 2, amplitude * np.float32(0.86)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(20200824)))
    return total + amplitude * (rng.random((_TEXTURE, _TEXTURE), dtype=np.float32) * 2 - 1)


def fade(t: Floats) -> Floats:
    """Hermite step 3t² − 2t³ for t in [0, 1]."""
    return t * t * (3 - 2 * t)


def smooth_step(value: Floats, low: float, high: float) -> Floats:
    """0 below ``low``, 1 above ``high``, smooth between."""
    return fade(np.clip((value - low) / (high - low), 0, 1))


def value_noise(x: Floats, z: Floats, salt: int) -> Floats:
    """Smooth noise in [-1, 1] of wavelength about 2, sampled row by row.

    Args:
        x: (n, m) abscissae in cells.
        z: (n,) one ordinate a row; rows share it because a row of a perspective image does.
        salt: which noise.
    """
    z_cell = np.floor(z)
    step = fade(z - z_cell)[:, None]
    row = z_cell.astype(np.int32) + (salt & 255)
    table = lattice()
    near = table[row & 255]
    rows = near + step * (table[(row + 1) & 255] - near)
    rows = rows * 2 - 1
    rise = np.roll(rows, -1, axis=1) - rows
    x_cell = np.floor(x)
    index = (x_cell.astype(np.int32) + ((salt >> 8) & 255)) & 255
    index += (np.arange(len(z), dtype=np.int32) * _LATTICE)[:, None]
    left = rows.ravel().take(index)
    noise: Floats = left + fade(x - x_cell) * rise.ravel().take(index)
    return noise


def fractal_noise(x: Floats, z: Floats, salt: int, octaves: int, gain: float = 0.5) -> Floats:
    """Sum of ``octaves`` of :func:`value_noise`, each half as long and ``gain`` as strong; about -1 … 1."""
    total = value_noise(x, z, salt)
    amplitude, frequency = 1.0, 1.0
    for octave in range(1, octaves):
        amplitude, frequency = amplitude * gain, frequency * 2.03
        total += amplitude * value_noise(x * frequency, z * frequency, salt + 977 * octave)
    return total


def texture_at(x: Floats, y: Floats, salt: int) -> Floats:
    """The fractal texture at texel coordinates that broadcast against each other; nearest texel."""
    column = (np.floor(x).astype(np.int32) + (salt & 511)) & (_TEXTURE - 1)
    row = (np.floor(y).astype(np.int32) + ((salt >> 7) & 511)) & (_TEXTURE - 1)
    return fractal_texture().ravel().take(column + row * _TEXTURE)


def graded_texture(x: Floats, y: Floats, z: Floats, texels: float, salt: int) -> Floats:
    """The fractal texture with texels that look equally large at every depth, without seams.

    Args:
        x, y: metres; z: metres of depth, all of one shape.
        texels: per image height.
        salt: which texture.
    """
    # Read at the two powers of two around the depth and blended: fractal noise looks alike at both.
    mantissa, octave = np.frexp(z)
    scale = np.ldexp(np.float32(texels), -octave)
    u, v = x * scale, y * scale
    near = texture_at(u * 2, v * 2, salt)
    return near + (mantissa * 2 - 1) * (texture_at(u, v, salt) - near)


def random_at(column: Integers, row: Integers, salt: int) -> Floats:
    """A random number in [0, 1) for each pair of integers, which broadcast against each other."""
    x = (column + (salt & 255)) & 255
    y = (row * 7 + (column >> 8) * 31 + (salt >> 8)) & 255
    return lattice().ravel().take(x + y * _LATTICE)


def _enlarge(grid: Floats) -> Floats:
    """(n, m) → (n, 512) by smooth interpolation along the rows, periodic."""
    cells = grid.shape[1]
    position = (np.arange(_TEXTURE, dtype=np.float32) + 0.5) * np.float32(cells / _TEXTURE)
    left = np.floor(position).astype(np.int32)
    step = fade(position - left)
    return grid[:, left] * (1 - step) + grid[:, (left + 1) % cells] * step
