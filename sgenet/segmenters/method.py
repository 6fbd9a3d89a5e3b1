"""A segmenter as a method, so that the one training loop fits it: it draws no image, and no discriminator judges it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sgenet.batch import InpaintingBatch, Prediction
from sgenet.errors import DataError
from sgenet.label_space import IGNORE_ID
from sgenet.losses.segmentation import segmentation_loss
from sgenet.methods.method import Discriminator, Method, Objective, Terms
from sgenet.segmenters.settings import SegmenterOptimizer


class SegmentingGenerator(nn.Module):
    """A :class:`~sgenet.segmenters.segmenter.Segmenter` called as the training loop calls a generator."""

    def __init__(self, segmenter: nn.Module) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, image: Tensor, hole_mask: Tensor) -> Prediction:
        """Segment whole images (B, 3, H, W) in [-1, 1]; the hole mask is not looked at."""
        return Prediction(images=(image,), label_logits=(self.segmenter(image),))


class SegmenterObjective(Objective):
    """Class-balanced cross-entropy.

    Args:
        class_weights: (C,) how much a pixel of each class counts.
    """

    class_weights: Tensor

    def __init__(self, class_weights: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("class_weights", torch.tensor(class_weights, dtype=torch.float32))

    def generator_terms(self, batch: InpaintingBatch, prediction: Prediction, discriminator: Discriminator) -> Terms:
        """``segmentation``: see :func:`balanced_cross_entropy`."""
        return {"segmentation": balanced_cross_entropy(prediction.label_logits[0], batch.label, self.class_weights)}


def balanced_cross_entropy(logits: Tensor, label: Tensor, class_weights: Tensor) -> Tensor:
    """The mean of the pixels' cross-entropies, each counted by the weight of its class.

    Args:
        logits: (B, C, H, W).
        label: (B, H, W) int64 class ids, 255 = ignore.
        class_weights: (C,).

    Returns:
        A scalar; 0 with a gradient of 0 where every pixel is ignored. As of the global batch, on any number of ranks.
    """
    weight = class_weights[torch.where(label == IGNORE_ID, 0, label)]
    return segmentation_loss(label, logits.float(), pixel_weight=weight)


def class_weights(pixels: Sequence[int], balance: float) -> tuple[float, ...]:
    """How much a pixel of each class counts, so that an average labelled pixel counts 1.

    Args:
        pixels: (C,) labelled pixels of each class.
        balance: the exponent: 0 counts every pixel alike, 1 every class. A class without a pixel weighs 0.

    Raises:
        DataError: nothing is labelled.
    """
    total = sum(pixels)
    if total == 0:
        raise DataError(
            "no training image is labelled, so there is nothing to fit a segmenter to; label some, or name a fitted "
            "one in labels.<dataset>.checkpoint"
        )
    shares = [count / total for count in pixels]
    raw = [share**-balance if share else 0.0 for share in shares]
    mean = sum(weight * share for weight, share in zip(raw, shares, strict=True))
    return tuple(weight / mean for weight in raw)


def segmenter_method(
    name: str, segmenter: nn.Module, weights: Sequence[float], optimizer: SegmenterOptimizer
) -> Method:
    """A segmenter ready to be fitted. Its discriminator is empty."""
    return Method(name, SegmentingGenerator(segmenter), nn.Identity(), SegmenterObjective(weights), optimizer)
