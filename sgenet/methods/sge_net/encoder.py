"""The encoder: features ϕ^0 … ϕ^4 of the corrupted image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sgenet.layers.convolution import ResidualBlock, activate_, conv3x3


class Encoder(nn.Module):
    """Features of the corrupted image at five scales.

    Args:
        widths: channels at scales 0 … 4.
        num_blocks: residual blocks at scales 0 … 4.
    """

    def __init__(self, widths: Sequence[int], num_blocks: Sequence[int]) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        in_channels = 4
        for scale, (width, blocks) in enumerate(zip(widths, num_blocks, strict=True)):
            convolution = conv3x3(in_channels, width, stride=1 if scale == 0 else 2)
            stages.append(nn.Sequential(convolution, *(ResidualBlock(width) for _ in range(blocks))))
            in_channels = width
        self.stages = nn.ModuleList(stages)

    def forward(self, corrupted: Tensor, hole_mask: Tensor) -> list[Tensor]:
        """Encode.

        Args:
            corrupted: (B, 3, H, W) in [-1, 1], in the hole 0 or the membrane; H and W divisible by 16.
            hole_mask: (B, 1, H, W), 1 = missing.

        Returns:
            ϕ^0 … ϕ^4, entry l of shape (B, widths[l], H/2^l, W/2^l).
        """
        features: list[Tensor] = []
        x = torch.cat((corrupted, hole_mask), dim=1)
        for stage in self.stages:
            x = activate_(stage(x))
            features.append(x)
        return features
