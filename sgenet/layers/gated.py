"""Gated convolution: a second convolution says where the first one's answer counts (Yu et al., ICCV 2019)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class GatedLayer:
    """A row of a layer table.

    Attributes:
        width: channels of the convolution; half of them come out.
        kernel_size, stride, dilation: of the convolution, padded so that stride 1 keeps the size.
        upsample: double height and width first, by nearest neighbours.
        activation: of the half that is gated.
    """

    width: int
    kernel_size: int = 3
    stride: int = 1
    dilation: int = 1
    upsample: bool = False
    activation: Activation = F.elu


class GatedConv(nn.Module):
    """activation(a) · σ(b), with a and b the halves of one convolution's channels. No normalisation.

    A gate is half open at first, which would make a signal fade to nothing within the two dozen
    layers of GatedConv. Weights therefore start with four times the variance that keeps a
    signal's scale through a plain convolution (*ours*; the paper does not say).
    """

    def __init__(self, in_channels: int, layer: GatedLayer) -> None:
        super().__init__()
        padding = layer.dilation * (layer.kernel_size - 1) // 2
        self.upsample = layer.upsample
        self.activation = layer.activation
        self.convolution = nn.Conv2d(
            in_channels, layer.width, layer.kernel_size, layer.stride, padding, dilation=layer.dilation
        )
        fan_in = in_channels * layer.kernel_size**2
        nn.init.normal_(self.convolution.weight, std=2 * fan_in**-0.5)
        assert self.convolution.bias is not None
        nn.init.zeros_(self.convolution.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, width / 2, H', W')."""
        if self.upsample:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        features, gate = self.convolution(x).chunk(2, dim=1)
        return self.activation(features) * torch.sigmoid(gate)


def gated_stack(in_channels: int, layers: Sequence[GatedLayer]) -> nn.Sequential:
    """The layers of a table, one after the other; (B, in_channels, H, W) → (B, last width / 2, H', W')."""
    stack: list[nn.Module] = []
    for layer in layers:
        stack.append(GatedConv(in_channels, layer))
        in_channels = layer.width // 2
    return nn.Sequential(*stack)
