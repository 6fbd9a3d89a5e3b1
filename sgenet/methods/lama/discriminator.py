"""The discriminator of LaMa: a patch discriminator at one scale, with batch normalisation (Wang et al., CVPR 2018)."""

from __future__ import annotations

from torch import Tensor, nn

from sgenet.layers.discriminator import DiscriminatorOutput

_MULTIPLES_AND_STRIDES = ((2, 2), (4, 2), (8, 2), (8, 1))


class LamaDiscriminator(nn.Module):
    """Five 4×4 convolutions, of which all but the first are normalised, and the verdict.

    Args:
        width: channels of the first convolution (published: 64).
    """

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
