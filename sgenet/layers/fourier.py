"""Fourier convolution: every output pixel sees the whole feature map."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sgenet.layers.convolution import activate, conv3x3, group_norm


class SpectralTransform(nn.Module):
    """A 1×1 convolution of the real and imaginary parts of the 2-D spectrum (Chi et al., NeurIPS 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2 * channels, 2 * channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W), any H and W; the transforms run in float32."""
        size = x.shape[-2:]
        spectrum = torch.fft.rfft2(x.float(), norm="ortho")
        mixed = activate(self.mix(torch.cat((spectrum.real, spectrum.imag), dim=1))).float()
        real, imaginary = mixed.chunk(2, dim=1)
        filtered = torch.fft.irfft2(torch.complex(real.contiguous(), imaginary.contiguous()), s=size, norm="ortho")
        return filtered.to(x.dtype)


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
        normalised = activate(self.norm(x))
        return x + self.fuse(activate(self.local_branch(normalised) + self.global_branch(normalised)))
