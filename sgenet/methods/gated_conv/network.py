"""The generator of GatedConv: a coarse image, then a refined one beside contextual attention."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgenet.batch import Prediction, composite
from sgenet.checks import check_shape
from sgenet.layers.attention import RATE, contextual_attention
from sgenet.layers.gated import GatedLayer, gated_stack

_FEATURE_STRIDE = 4
STRIDE = _FEATURE_STRIDE * RATE
"""Heights and widths must be divisible by this."""

_DILATIONS = (2, 4, 8, 16)


class GatedConvGenerator(nn.Module):
    """Two stages trained together, without a detach between them, as published.

    Args:
        width: c of the layer tables, a multiple of 4 (published: 48).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        c = width
        self.coarse = nn.Sequential(gated_stack(5, _coarse_layers(c)), _tail(2 * c, c))
        self.convolution_branch = gated_stack(3, _convolution_layers(c))
        self.before_attention = gated_stack(3, _attention_layers(c))
        self.after_attention = gated_stack(2 * c, [GatedLayer(4 * c), GatedLayer(4 * c)])
        self.refined = _tail(4 * c, c)

    def forward(self, image: Tensor, hole_mask: Tensor) -> Prediction:
        """Fill the hole.

        Args:
            image: (B, 3, H, W) in [-1, 1], H and W divisible by 8; what lies in the hole is not seen.
            hole_mask: (B, 1, H, W), 1 = missing.

        Returns:
            The refined image; ``auxiliary["coarse"]`` is the first stage's, (B, 3, H, W) in [-1, 1].
        """
        sizes = check_shape(image, "B 3 H W", "image")
        check_shape(hole_mask, "B 1 H W", "hole_mask", **sizes)
        if sizes["H"] % STRIDE or sizes["W"] % STRIDE:
            raise ValueError(f"height and width must be divisible by {STRIDE}, found {sizes['H']}×{sizes['W']}")
        corrupted = torch.where(hole_mask > 0.5, 0.0, image)
        # The ones let a convolution with zero padding see where the image ends.
        coarse = _image(self.coarse(torch.cat((corrupted, torch.ones_like(hole_mask), hole_mask), dim=1)))
        filled = composite(coarse, corrupted, hole_mask)
        attended = contextual_attention(self.before_attention(filled), F.max_pool2d(hole_mask, _FEATURE_STRIDE))
        branches = torch.cat((self.convolution_branch(filled), self.after_attention(attended)), dim=1)
        return Prediction(images=(_image(self.refined(branches)),), auxiliary={"coarse": coarse})


def _image(x: Tensor) -> Tensor:
    return torch.tanh(x.float())


def _coarse_layers(c: int) -> list[GatedLayer]:
    return [
        GatedLayer(c, kernel_size=5),
        GatedLayer(2 * c, stride=2),
        GatedLayer(2 * c),
        GatedLayer(4 * c, stride=2),
        GatedLayer(4 * c),
        GatedLayer(4 * c),
        *(GatedLayer(4 * c, dilation=dilation) for dilation in _DILATIONS),
    ]


def _convolution_layers(c: int) -> list[GatedLayer]:
    return [
        GatedLayer(c, kernel_size=5),
        GatedLayer(c, stride=2),
        GatedLayer(2 * c),
        GatedLayer(2 * c, stride=2),
        GatedLayer(4 * c),
        GatedLayer(4 * c),
        *(GatedLayer(4 * c, dilation=dilation) for dilation in _DILATIONS),
    ]


def _attention_layers(c: int) -> list[GatedLayer]:
    return [
        GatedLayer(c, kernel_size=5),
        GatedLayer(c, stride=2),
        GatedLayer(2 * c),
        GatedLayer(4 * c, stride=2),
        GatedLayer(4 * c),
        GatedLayer(4 * c, activation=F.relu),
    ]


def _tail(in_channels: int, c: int) -> nn.Sequential:
    """From features at a quarter of the size to three channels at full size, before the tanh."""
    layers = [
        GatedLayer(4 * c),
        GatedLayer(4 * c),
        GatedLayer(2 * c, upsample=True),
        GatedLayer(2 * c),
        GatedLayer(c, upsample=True),
        GatedLayer(c // 2),
    ]
    return nn.Sequential(gated_stack(in_channels, layers), nn.Conv2d(c // 4, 3, 3, padding=1))
