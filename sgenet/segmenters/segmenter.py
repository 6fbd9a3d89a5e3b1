"""What a segmenter is, and what becomes of its logits: labels, and how sure they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sgenet.label_space import IGNORE_ID
from sgenet.losses.vgg import IMAGENET_MEAN, IMAGENET_STD


class Segmenter(Protocol):
    """A network from a whole image to its semantic classes."""

    def __call__(self, image: Tensor) -> Tensor:
        """Logits of each pixel's class.

        Args:
            image: (B, 3, H, W) float in [-1, 1], RGB.

        Returns:
            (B, C, H, W) at the image's own size, for the C classes of the label space. A segmenter whose own
            classes are not all of the label space gives C + 1: the last one means *none of them*.
        """


@dataclass(frozen=True)
class Labelled:
    """What a segmenter says of images.

    Attributes:
        label: (B, H, W) uint8 class ids; :data:`~sgenet.label_space.IGNORE_ID` where it is not sure enough.
        confidence: (B, H, W) uint8: probability of the most probable class, 0 … 255 for 0 … 1, rounded down, so that
            it never claims more than there is.
    """

    label: Tensor
    confidence: Tensor


def imagenet_normalised(image: Tensor) -> Tensor:
    """Images (B, 3, H, W) in [-1, 1] as networks with ImageNet weights expect them."""
    mean, std = (image.new_tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (image * 0.5 + 0.5 - mean) / std


def label_pixels(probabilities: Tensor, num_classes: int, threshold: float) -> Labelled:
    """The most probable class of each pixel, or *ignore*.

    Args:
        probabilities: (B, C, H, W), or (B, C + 1, H, W) where the last class means *none of them*.
        num_classes: C, of the label space.
        threshold: pixels whose most probable class has a lower probability are *ignore*.

    Raises:
        ValueError: there are other classes than these.
    """
    if probabilities.shape[1] not in (num_classes, num_classes + 1):
        raise ValueError(f"{num_classes} classes are labelled, the segmenter has {probabilities.shape[1]}")
    confidence, best = probabilities.float().max(dim=1)
    # Written so that a probability that is no number is *ignore* as well.
    trusted = (confidence >= threshold) & (best < num_classes)
    label = torch.where(trusted, best, IGNORE_ID).to(torch.uint8)
    return Labelled(label, confidence.nan_to_num(0.0).mul(255).clamp(0, 255).to(torch.uint8))
