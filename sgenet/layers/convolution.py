"""Convolutions with their activation: what encoder, context and decoder are built from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from sgenet.layers.bands import Band, in_bands, is_whole, replace_in_bands
from sgenet.layers.normalisation import group_norm, group_norm_of


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU with slope 0.2, the activation of every network here unless a paper says otherwise."""
    return F.leaky_relu(x, 0.2)


def activate_(x: Tensor) -> Tensor:
    """The same in place, for what a convolution, a normalisation or a sum has just made and nobody else holds."""
    return F.leaky_relu_(x, 0.2)


def conv3x3(in_channels: int, out_channels: int, *, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A 3×3 convolution that keeps the size (or halves it with stride 2)."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=dilation, dilation=dilation)


class ResidualBlock(nn.Module):
    """Pre-activation residual block (He et al. 2016): x + conv(act(norm(conv(act(norm(x))))))."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.dilation = dilation
        self.norm_1 = group_norm(channels)
        self.conv_1 = conv3x3(channels, channels, dilation=dilation)
        self.norm_2 = group_norm(channels)
        self.conv_2 = conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        norm_1 = group_norm_of(self.norm_1, x)
        hidden = in_bands(lambda band: self.conv_1(activate_(norm_1(band.read(x)))), x, self.dilation)
        norm_2 = group_norm_of(self.norm_2, hidden)

        def read(rows: Tensor) -> Tensor:
            return activate_(norm_2(rows))

        def compute(rows: Tensor, band: Band) -> Tensor:
            return self.conv_2(rows).add_(band.read(x))

        return replace_in_bands(hidden, read, compute, halo=1)


def convolve_activated(convolutions: Sequence[nn.Module], x: Tensor) -> list[Tensor]:
    """Several 3×3 convolutions of the same activated features (B, C, H, W)."""
    if is_whole(x):
        activated = activate(x)
        return [convolution(activated) for convolution in convolutions]

    def convolve(convolution: nn.Module, band: Band) -> Tensor:
        # Activating a band for every convolution is less than keeping all of it.
        result: Tensor = convolution(activate(band.read(x)))
        return result

    return [in_bands(partial(convolve, convolution), x, halo=1) for convolution in convolutions]
