"""The spectral transform as matrix products, for runtimes that have no FFT."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sgenet.layers.fourier import SpectralTransform


class MatrixSpectralTransform(SpectralTransform):
    """The same function as :class:`~sgenet.layers.fourier.SpectralTransform`, with its weights, without an FFT.

    A discrete Fourier transform of n values is a product with an n × n matrix of cosines and sines. At 1/16
    of an image's size that is little work: 64 × 64 matrices for 1024 × 1024 pixels.

    Args:
        original: whose convolution is taken over, not copied.
    """

    def __init__(self, original: SpectralTransform) -> None:
        super().__init__(0, original.mix)

    def to_spectrum(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, 2 · C, H, ⌊W/2⌋ + 1)."""
        height, width = x.shape[-2:]
        cosines, sines = _waves(width, width // 2 + 1, x)
        real, imaginary = F.linear(x, cosines), -F.linear(x, sines)
        cosines, sines = _waves(height, height, x)
        return torch.cat(
            (
                _along_rows(real, cosines) + _along_rows(imaginary, sines),
                _along_rows(imaginary, cosines) - _along_rows(real, sines),
            ),
            dim=1,
        )

    def from_spectrum(self, spectrum: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, 2 · C, H, ⌊W/2⌋ + 1) → (B, C, H, W)."""
        height, width = size
        real, imaginary = spectrum.chunk(2, dim=1)
        cosines, sines = _waves(height, height, spectrum)
        real, imaginary = (
            _along_rows(real, cosines) - _along_rows(imaginary, sines),
            _along_rows(imaginary, cosines) + _along_rows(real, sines),
        )
        cosines, sines = _waves(width, width // 2 + 1, spectrum)
        # The frequencies left out mirror these, except for 0 and, of an even width, the highest.
        frequencies = torch.arange(width // 2 + 1, device=spectrum.device)
        alone = (frequencies == 0) | (2 * frequencies == width)
        counts = torch.where(alone, 1.0, 2.0).to(spectrum.dtype)
        return F.linear(real * counts, cosines.T) - F.linear(imaginary * counts, sines.T)


def _along_rows(x: Tensor, matrix: Tensor) -> Tensor:
    """``matrix`` (M, H) times every (H, W) of (B, C, H, W)."""
    return F.linear(x.transpose(2, 3), matrix).transpose(2, 3)


def _waves(length: int, num_frequencies: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """cos and sin of 2π · frequency · place / length, each (num_frequencies, length), divided by √length."""
    places = torch.arange(length, device=like.device)
    frequencies = torch.arange(num_frequencies, device=like.device)
    # The length as a tensor: arithmetic on the number itself would fix the sizes of an exported graph.
    count = torch.ones_like(places).sum()
    # Whole turns are taken off while the numbers are integers, so that float32 holds the angle well.
    turns = (frequencies[:, None] * places) % count
    angle = turns.to(like.dtype) * (2 * math.pi) / count
    scale = count.to(like.dtype).rsqrt()
    return torch.cos(angle) * scale, torch.sin(angle) * scale
