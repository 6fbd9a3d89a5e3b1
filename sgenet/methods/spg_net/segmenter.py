"""The small network that labels the known part of an image when no label map comes with it. *Ours*."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from sgenet.layers.convolution import activate, conv3x3
from sgenet.layers.normalisation import group_norm
from sgenet.layers.resizing import resize

_MULTIPLES = (1, 2, 4, 8, 8)


class InputSegmenter(nn.Module):
    """Five scales down and up again with skips (Ronneberger et al., MICCAI 2015).

    It replaces the segmenter trained elsewhere (DeepLab) of SPG-Net's authors, so that a released
    model needs nothing but the image and its hole.

    Args:
        num_classes: K.
        width: channels at full size; 2, 4, 8 and 8 times as many at the next scales.
    """

    def __init__(self, num_classes: int, width: int) -> None:
        super().__init__()
        widths = [multiple * width for multiple in _MULTIPLES]
        self.down = nn.ModuleList(
            [_layer(4, width), *(_layer(fine, coarse, stride=2) for fine, coarse in pairwise(widths))]
        )
        self.up = nn.ModuleList(_layer(coarse + fine, fine) for fine, coarse in pairwise(widths))
        self.head = conv3x3(width, num_classes)

    def forward(self, corrupted: Tensor, hole_mask: Tensor) -> Tensor:
        """Label an image.

        Args:
            corrupted: (B, 3, H, W) in [-1, 1], 0 in the hole; H and W divisible by 16.
            hole_mask: (B, 1, H, W), 1 = missing.

        Returns:
            (B, K, H, W) logits; those in the hole are taught by nothing.
        """
        x = torch.cat((corrupted, hole_mask), dim=1)
        skips: list[Tensor] = []
        for layer in self.down:
            x = activate(layer(x))
            skips.append(x)
        for layer, skip in zip(reversed(self.up), reversed(skips[:-1]), strict=True):
            x = activate(layer(torch.cat((resize(x, skip.shape[2:]), skip), dim=1)))
        return self.head(x)


def _layer(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(conv3x3(in_channels, out_channels, stride=stride), group_norm(out_channels))
