"""The multi-scale PatchGAN discriminator of Eq. 8."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from sgenet.layers.convolution import activate_
from sgenet.settings import DiscriminatorSettings


@dataclass(frozen=True)
class DiscriminatorOutput:
    """What a discriminator says of a batch, at each of its image scales 1, 1/2, 1/4 …, or each of its parts.

    Attributes:
        logits: one map of verdicts a scale, (B, V, h, w), before any sigmoid; high means real.
            V is 1 for a patch discriminator.
        features: the activations of every layer but the last, for feature matching.
    """

    logits: tuple[Tensor, ...]
    features: tuple[Tensor, ...]

    def halves(self) -> tuple[list[Tensor], list[Tensor]]:
        """The logits of the first and of the second half of the batch.

        For a discriminator's side that judges real and predicted images in one forward, since
        data-parallel wrappers allow one forward a backward.
        """
        num_real = self.logits[0].shape[0] // 2
        return [logits[:num_real] for logits in self.logits], [logits[num_real:] for logits in self.logits]


class PatchDiscriminator(nn.Module):
    """Strided 4×4 convolutions that judge overlapping patches (Isola et al., CVPR 2017)."""

    def __init__(self, in_channels: int, settings: DiscriminatorSettings) -> None:
        super().__init__()
        wrap = spectral_norm if settings.spectral_norm else nn.Identity()
        widths = [settings.width * min(2**i, 8) for i in range(settings.num_layers + 1)]
        strides = [2] * settings.num_layers + [1]
        layers: list[nn.Module] = []
        for width, stride in zip(widths, strides, strict=True):
            layers.append(wrap(nn.Conv2d(in_channels, width, 4, stride, padding=1)))
            in_channels = width
        self.layers = nn.ModuleList(layers)
        self.verdict = wrap(nn.Conv2d(in_channels, 1, 4, 1, padding=1))

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, C, H, W) → patch logits (B, 1, h, w) and the layers' activations."""
        features: list[Tensor] = []
        for layer in self.layers:
            image = activate_(layer(image))
            features.append(image)
        return self.verdict(image).float(), features


class MultiScaleDiscriminator(nn.Module):
    """One patch discriminator for each of the image's scales 1, 1/2, 1/4 … (Wang et al., CVPR 2018)."""

    def __init__(self, in_channels: int, settings: DiscriminatorSettings) -> None:
        super().__init__()
        self.discriminators = nn.ModuleList(
            PatchDiscriminator(in_channels, settings) for _ in range(settings.num_scales)
        )

    def forward(self, image: Tensor) -> DiscriminatorOutput:
        """Judge images (B, C, H, W) in [-1, 1]."""
        logits: list[Tensor] = []
        features: list[Tensor] = []
        for discriminator in self.discriminators:
            verdict, activations = discriminator(image)
            logits.append(verdict)
            features.extend(activations)
            image = F.avg_pool2d(image, 2)
        return DiscriminatorOutput(tuple(logits), tuple(features))
