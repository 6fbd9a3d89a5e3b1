"""The networks of LaMa-Fourier, written from the paper and its published settings."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgenet.batch import Prediction
from sgenet.checks import check_inputs
from sgenet.layers.discriminator import DiscriminatorOutput
from sgenet.layers.fourier import SpectralTransform
from sgenet.methods.lama.settings import LamaSettings

_NUM_DOWNSAMPLINGS = 3
STRIDE = 2**_NUM_DOWNSAMPLINGS
"""Heights and widths must be divisible by this."""

_MULTIPLES_AND_STRIDES = ((2, 2), (4, 2), (8, 2), (8, 1))

LocalGlobal = tuple[Tensor, Tensor]
"""Features of the local and of the global branch, (B, C, H, W) and (B, C', H, W)."""


class LamaGenerator(nn.Module):
    """Three downsamplings, Fourier residual blocks at 1/8 of the size, three upsamplings.

    Batch normalisation, as published: in training, an image's result depends on the batch.
    """

    def __init__(self, settings: LamaSettings) -> None:
        super().__init__()
        width = settings.width
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), *_normed(nn.Conv2d(4, width, 7, bias=False))]
        for _ in range(_NUM_DOWNSAMPLINGS):
            layers += _normed(nn.Conv2d(width, 2 * width, 3, 2, padding=1, padding_mode="reflect", bias=False))
            width *= 2
        self.encode = nn.Sequential(*layers)
        global_width = round(settings.global_share * width)
        self.widths = (width - global_width, global_width)
        self.blocks = nn.Sequential(*(FourierResidualBlock(*self.widths) for _ in range(settings.num_blocks)))
        layers = []
        for _ in range(_NUM_DOWNSAMPLINGS):
            layers += _normed(nn.ConvTranspose2d(width, width // 2, 3, 2, 1, 1, bias=False))
            width //= 2
        self.decode = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7))

    def forward(self, image: Tensor, hole_mask: Tensor) -> Prediction:
        """Fill the hole.

        Args:
            image: (B, 3, H, W) in [-1, 1], H and W divisible by 8 and at least 16; what lies in the hole is not seen.
            hole_mask: (B, 1, H, W), 1 = missing.
        """
        check_inputs(image, hole_mask, STRIDE)
        corrupted = torch.where(hole_mask > 0.5, 0.0, image)
        encoded = self.encode(torch.cat((corrupted, hole_mask), dim=1))
        features = self.blocks(encoded.split(self.widths, dim=1))
        return Prediction(images=(torch.tanh(self.decode(torch.cat(features, dim=1)).float()),))


class FourierResidualBlock(nn.Module):
    """Two fast Fourier convolutions with a shortcut around them."""

    def __init__(self, local_width: int, global_width: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(*(FastFourierConvolution(local_width, global_width) for _ in range(2)))

    def forward(self, x: LocalGlobal) -> LocalGlobal:
        """(B, C, H, W) and (B, C', H, W) → the same shapes."""
        local, spread = self.convolutions(x)
        return x[0] + local, x[1] + spread


class FastFourierConvolution(nn.Module):
    """Local and global channels, each from both (Chi et al., NeurIPS 2020): 3×3 convolutions, and from global to
    global the spectrum. The two convolutions that read the local channels are one here."""

    def __init__(self, local_width: int, global_width: int) -> None:
        super().__init__()
        self.widths = (local_width, global_width)
        self.from_local = nn.Conv2d(local_width, local_width + global_width, 3, bias=False)
        self.global_to_local = nn.Conv2d(global_width, local_width, 3, bias=False)
        self.global_to_global = HalvedSpectralTransform(global_width)
        self.local_norm = nn.BatchNorm2d(local_width)
        self.global_norm = nn.BatchNorm2d(global_width)

    def forward(self, x: LocalGlobal) -> LocalGlobal:
        """(B, C, H, W) and (B, C', H, W) → the same shapes."""
        of_local, to_global = self.from_local(_reflect(x[0])).split(self.widths, dim=1)
        of_global = self.global_to_local(_reflect(x[1]))
        return (
            F.relu(self.local_norm(of_local + of_global)),
            F.relu(self.global_norm(to_global + self.global_to_global(x[1]))),
        )


class HalvedSpectralTransform(nn.Module):
    """Half of the channels through their spectrum, with a shortcut around it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.reduce = nn.Sequential(*_normed(nn.Conv2d(channels, half, 1, bias=False)))
        # Its leaky ReLU finds nothing negative after this one.
        self.spectral = SpectralTransform(half, nn.Sequential(*_normed(nn.Conv2d(2 * half, 2 * half, 1, bias=False))))
        self.expand = nn.Conv2d(half, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        reduced = self.reduce(x)
        return self.expand(reduced + self.spectral(reduced))


class LamaDiscriminator(nn.Module):
    """Five 4×4 convolutions, all but the first batch-normalised, and the verdict (Wang et al., CVPR 2018)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers = [nn.Sequential(nn.Conv2d(3, width, 4, 2, 2), nn.LeakyReLU(0.2))]
        in_channels = width
        for multiple, stride in _MULTIPLES_AND_STRIDES:
            convolution = nn.Conv2d(in_channels, multiple * width, 4, stride, 2)
            in_channels = multiple * width
            layers.append(nn.Sequential(convolution, nn.BatchNorm2d(in_channels), nn.LeakyReLU(0.2)))
        self.layers = nn.ModuleList(layers)
        self.verdict = nn.Conv2d(in_channels, 1, 4, 1, 2)

    def forward(self, image: Tensor) -> DiscriminatorOutput:
        """Judge patches of images (B, 3, H, W) in [0, 1]."""
        features: list[Tensor] = []
        for layer in self.layers:
            image = layer(image)
            features.append(image)
        return DiscriminatorOutput((self.verdict(image).float(),), tuple(features))


def _normed(convolution: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]


def _reflect(x: Tensor) -> Tensor:
    return F.pad(x, (1, 1, 1, 1), mode="reflect")
