"""The Context Inference Module: completes the corrupted features at scale 4 (Sect. 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sgenet.layers.convolution import ResidualBlock, activate
from sgenet.layers.fourier import FourierBlock
from sgenet.layers.resizing import resize
from sgenet.settings import NetworkSettings


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
        square = resize(x, (self.side, self.side)).reshape(batch, channels, -1)
        connected = torch.einsum("bcp,cpq->bcq", square, self.weight.to(square.dtype)) + self.bias.to(square.dtype)
        image = activate(connected).reshape(batch, channels, self.side, self.side)
        return x + self.mix(resize(image, (height, width)))


def build_context(settings: NetworkSettings) -> nn.Sequential:
    """The Context Inference Module, (B, C, H/16, W/16) → the same shape; ``channel_fc`` is followed by plain blocks."""
    channels, side = settings.widths[-1], settings.image_size // 16
    match settings.context:
        case "channel_fc":
            blocks: list[nn.Module] = [ChannelwiseFullyConnected(channels, side)]
            blocks += [ResidualBlock(channels) for _ in range(settings.context_blocks)]
        case "dilated":
            # On a map of 8 × 8, eight of nine taps that are 8 apart would see nothing but padding, and learn nothing.
            fitting = [dilation for dilation in (1, 2, 4, 8) if dilation == 1 or dilation <= side // 2]
            dilations = settings.context_dilations or fitting
            blocks = [ResidualBlock(channels, dilations[i % len(dilations)]) for i in range(settings.context_blocks)]
        case "fourier":
            blocks = [FourierBlock(channels) for _ in range(settings.context_blocks)]
        case _:
            raise ValueError(f"the context is channel_fc, dilated or fourier, found {settings.context!r}")
    return nn.Sequential(*blocks)
