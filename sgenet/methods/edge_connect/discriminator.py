"""The two discriminators of EdgeConnect in one module: one of edges, one of images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sgenet.layers.discriminator import DiscriminatorOutput, PatchDiscriminator
from sgenet.settings import DiscriminatorSettings

NUM_LAYERS = 3
"""Stride-2 convolutions of both discriminators."""


class EdgeConnectDiscriminator(nn.Module):
    """Spectrally normalised 70×70 patch discriminators.

    Args:
        width: channels of the first convolution of both (published: 64).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        settings = DiscriminatorSettings(width=width, num_layers=NUM_LAYERS, num_scales=1)
        self.edge_discriminator = PatchDiscriminator(2, settings)
        self.image_discriminator = PatchDiscriminator(3, settings)

    def forward(self, judged: Tensor) -> DiscriminatorOutput:
        """Judge edges and images.

        Args:
            judged: what :func:`judged` makes.

        Returns:
            The logits of the edge discriminator and of the image discriminator; the features are those of the
            edge discriminator, its logits last.
        """
        edge_logits, features = self.edge_discriminator(judged[:, :2])
        image_logits, _ = self.image_discriminator(judged[:, 2:])
        return DiscriminatorOutput((edge_logits, image_logits), (*features, edge_logits))


def judged(gray: Tensor, edges: Tensor, image: Tensor) -> Tensor:
    """What the discriminator judges, as one tensor (B, 5, H, W).

    Args:
        gray: (B, 1, H, W) in [-1, 1], of the whole image: edges are judged beside it.
        edges: (B, 1, H, W) in [0, 1].
        image: (B, 3, H, W) in [-1, 1].
    """
    return torch.cat((gray, edges, image), dim=1)
