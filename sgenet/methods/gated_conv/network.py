"""GatedConv: a coarse image, then a refined one beside contextual attention; and SN-PatchGAN, which judges it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from sgenet.batch import Prediction, composite
from sgenet.checks import check_inputs
from sgenet.layers.attention import RATE, contextual_attention
from sgenet.layers.convolution import activate
from sgenet.layers.discriminator import DiscriminatorOutput
from sgenet.layers.gated import GatedLayer, gated_stack

_FEATURE_STRIDE = 4
STRIDE = _FEATURE_STRIDE * RATE
"""Heights and widths must be divisible by this."""

_DILATIONS = (2, 4, 8, 16)

_MULTIPLES = (1, 2, 4, 4, 4, 4)
"""Widths of the discriminator's layers, relative to the first."""


class GatedConvGenerator(nn.Module):
    """Two stages trained together, without a detach between them, as published; ``width`` is c of the tables."""

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
        check_inputs(image, hole_mask, STRIDE)
        corrupted = torch.where(hole_mask > 0.5, 0.0, image)
        # The ones let a convolution with zero padding see where the image ends.
        coarse = _image(self.coarse(torch.cat((corrupted, torch.ones_like(hole_mask), hole_mask), dim=1)))
        filled = composite(coarse, corrupted, hole_mask)
        attended = contextual_attention(self.before_attention(filled), F.max_pool2d(hole_mask, _FEATURE_STRIDE))
        branches = torch.cat((self.convolution_branch(filled), self.after_attention(attended)), dim=1)
        return Prediction(images=(_image(self.refined(branches)),), auxiliary={"coarse": coarse})


class SNPatchDiscriminator(nn.Module):
    """SN-PatchGAN: six spectrally normalised 5×5 convolutions with stride 2; each last feature is a verdict."""

    def __init__(self, width: int) -> None:
        super().__init__()
        in_channels = 4
        layers: list[nn.Module] = []
        for multiple in _MULTIPLES:
            layers.append(spectral_norm(nn.Conv2d(in_channels, multiple * width, 5, 2, padding=2)))
            in_channels = multiple * width
        self.layers = nn.ModuleList(layers)

    def forward(self, judged: Tensor) -> DiscriminatorOutput:
        """Judge images and holes.

        Args:
            judged: (B, 4, H, W), an image in [-1, 1] and its hole mask. H and W above 32 where it is
                trained in bfloat16: PyTorch 2.14's weight gradient of a 5×5 convolution over a
                single pixel is now and then NaN on the CPU.

        Returns:
            Verdicts (B, 4 · width, ⌈H/64⌉, ⌈W/64⌉) and the five activations before them.
        """
        features: list[Tensor] = []
        x = judged
        for layer in self.layers[:-1]:
            x = activate(layer(x))
            features.append(x)
        return DiscriminatorOutput((self.layers[-1](x).float(),), tuple(features))


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
