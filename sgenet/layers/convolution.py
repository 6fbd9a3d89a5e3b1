"""Convolutions with their activation and normalisation: what encoder, context and decoder are built from."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

_GROUP_WIDTH = 16
"""Channels that share their statistics in a group normalisation."""


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU with slope 0.2, the activation of every network here unless a paper says otherwise."""
    return F.leaky_relu(x, 0.2)


def activate_(x: Tensor) -> Tensor:
    """The same in place, for what a convolution, a normalisation or a sum has just made and nobody else holds."""
    return F.leaky_relu_(x, 0.2)


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation in groups of about 16 channels: independent of the batch, keeps relative brightness."""
    num_groups = max(1, channels // _GROUP_WIDTH)
    while channels % num_groups:
        num_groups -= 1
    return nn.GroupNorm(num_groups, channels)


def conv3x3(in_channels: int, out_channels: int, *, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A 3×3 convolution that keeps the size (or halves it with stride 2)."""
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=dilation, dilation=dilation)


class ResidualBlock(nn.Module):
    """Pre-activation residual block (He et al. 2016): x + conv(act(norm(conv(act(norm(x))))))."""

    def __init__(self, channels: int, dilation: int = 1) -> None:
        super().__init__()
        self.norm_1 = group_norm(channels)
        self.conv_1 = conv3x3(channels, channels, dilation=dilation)
        self.norm_2 = group_norm(channels)
        self.conv_2 = conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        # One name for all of it: without gradients, each is freed as soon as the next is there.
        residual = activate_(self.norm_1(x))
        residual = self.conv_1(residual)
        residual = activate_(self.norm_2(residual))
        return self.conv_2(residual).add_(x)
