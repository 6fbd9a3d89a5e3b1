"""The two discriminators of SPG-Net in one module: one of label maps, one of images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sgenet.layers.discriminator import DiscriminatorOutput, MultiScaleDiscriminator
from sgenet.settings import DiscriminatorSettings


class SPGNetDiscriminator(nn.Module):
    """A multi-scale patch discriminator of each kind (Wang et al., CVPR 2018).

    Args:
        num_classes: K.
        settings: of both discriminators.
    """

    def __init__(self, num_classes: int, settings: DiscriminatorSettings) -> None:
        super().__init__()
        self.label_discriminator = MultiScaleDiscriminator(3 + num_classes, settings)
        self.image_discriminator = MultiScaleDiscriminator(3, settings)

    def forward(self, judged: Tensor) -> DiscriminatorOutput:
        """Judge label maps and images.

        Args:
            judged: what :func:`judged` makes.

        Returns:
            Logits and features of every scale of the label discriminator, then as many of the image discriminator.
        """
        labels, images = self.label_discriminator(judged[:, :-3]), self.image_discriminator(judged[:, -3:])
        return DiscriminatorOutput((*labels.logits, *images.logits), (*labels.features, *images.features))


def judged(corrupted: Tensor, label: Tensor, image: Tensor) -> Tensor:
    """What the discriminator judges, as one tensor (B, 3 + K + 3, H, W).

    Args:
        corrupted: (B, 3, H, W) in [-1, 1], 0 in the hole: label maps are judged beside it.
        label: (B, K, H, W) class probabilities, or 0 and 1; all 0 where the label is to be ignored.
        image: (B, 3, H, W) in [-1, 1], judged alone.
    """
    return torch.cat((corrupted, label, image), dim=1)
