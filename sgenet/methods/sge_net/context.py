"""The Context Inference Module: completes the corrupted features at scale 4 (Sect. 3.1)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from sgenet.layers.convolution import ResidualBlock, activate
from sgenet.layers.fourier import FourierBlock
from sgenet.layers.resizing import upsample

_DILATIONS = (1, 2, 4, 8)


class ChannelwiseFullyConnected(nn.Module):
    """Every pixel of a channel sees every other of it; then a 1×1 convolution (Pathak et al., CVPR 2016).

    Args:
        channels: of the feature map.
        side: height and width of the feature map in training; other sizes are resized to it and back.
    """

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.side = side
        num_pixels = side * side
        self.weight = nn.Parameter(torch.randn(channels, num_pixels, num_pixels) * num_pixels**-0.5)
        self.bias = nn.Parameter(torch.zeros(channels, num_pixels))
        self.mix = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W), added to what came in."""
        batch, channels, height, width = x.shape
        square = upsample(x, (self.side, self.side)).reshape(batch, channels, -1)
        connected = torch.einsum("bcp,cpq->bcq", square, self.weight.to(square.dtype)) + self.bias.to(square.dtype)
        picture = activate(connected).reshape(batch, channels, self.side, self.side)
        return x + self.mix(upsample(picture, (height, width)))


def build_context(
    kind: Literal["channel_fc", "dilated", "fourier"], channels: int, num_blocks: int, image_size: int
) -> nn.Sequential:
    """The Context Inference Module, (B, C, H/16, W/16) → the same shape.

    Args:
        kind: see :class:`sgenet.settings.NetworkSettings`.
        channels: width at scale 4.
        num_blocks: residual blocks; ``channel_fc`` is followed by as many plain ones.
        image_size: side of the training crop in pixels.
    """
    match kind:
        case "channel_fc":
            blocks: list[nn.Module] = [ChannelwiseFullyConnected(channels, image_size // 16)]
            blocks += [ResidualBlock(channels) for _ in range(num_blocks)]
        case "dilated":
            blocks = [ResidualBlock(channels, _DILATIONS[i % len(_DILATIONS)]) for i in range(num_blocks)]
        case "fourier":
            blocks = [FourierBlock(channels) for _ in range(num_blocks)]
        case _:
            raise ValueError(f"the context is channel_fc, dilated or fourier, found {kind!r}")
    return nn.Sequential(*blocks)
