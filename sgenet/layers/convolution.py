"""Convolutions with their activation: what encoder, context and decoder are built from."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from sgenet.layers.normalisation import group_norm


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
        self.norm_1 = group_norm(channels)
        self.conv_1 = conv3x3(channels, channels, dilation=dilation)
        self.norm_2 = group_norm(channels)
        self.conv_2 = conv3x3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        hidden = self.conv_1(activate_(self.norm_1(x)))
        return x + self.conv_2(activate_(self.norm_2(hidden)))
