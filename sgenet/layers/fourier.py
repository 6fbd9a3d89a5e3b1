"""Fourier convolution: every output pixel sees the whole feature map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sgenet.layers.convolution import activate, activate_, conv3x3
from sgenet.layers.normalisation import group_norm


class SpectralTransform(nn.Module):
    """A 1×1 convolution of the real and imaginary parts of the 2-D spectrum (Chi et al., NeurIPS 2020).

    Args:
        channels: C.
        mix: from 2 · C channels to as many, in place of the convolution.
    """

    def __init__(self, channels: int, mix: nn.Module | None = None) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2 * channels, 2 * channels, 1) if mix is None else mix

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W), any H and W; the transforms run in float32."""
        mixed = activate(self.mix(self.to_spectrum(x.float()))).float()
        return self.from_spectrum(mixed, (x.shape[2], x.shape[3])).to(x.dtype)

    def to_spectrum(self, x: Tensor) -> Tensor:
        """Real parts, then imaginary parts, of the orthonormal transform: (B, C, H, W) → (B, 2 · C, H, ⌊W/2⌋ + 1)."""
        spectrum = torch.fft.rfft2(x, norm="ortho")
        return torch.cat((spectrum.real, spectrum.imag), dim=1)

    def from_spectrum(self, spectrum: Tensor, size: tuple[int, int]) -> Tensor:
        """Back to a map of ``size``; see :meth:`to_spectrum`."""
        real, imaginary = spectrum.chunk(2, dim=1)
        return torch.fft.irfft2(torch.complex(real.contiguous(), imaginary.contiguous()), s=size, norm="ortho")


class FourierBlock(nn.Module):
    """Residual block with a local (3×3) and a global (spectral) branch, after LaMa (Suvorov et al., WACV 2022)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = group_norm(channels)
        self.local_branch = conv3x3(channels, channels)
        self.global_branch = SpectralTransform(channels)
        self.fuse = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        normalised = activate_(self.norm(x))
        return x + self.fuse(activate_(self.local_branch(normalised) + self.global_branch(normalised)))
