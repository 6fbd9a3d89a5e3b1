"""Scores of a whole evaluation set, gathered batch by batch."""

from __future__ import annotations

import math
from dataclasses import fields

from torch import Tensor

from sgenet.evaluation.metrics import ImageScores, score_images
from sgenet.evaluation.segmentation import SegmentationCounts

SCORE_NAMES = tuple(item.name for item in fields(ImageScores))
"""The names of the per-image scores, in the order of the tables."""


class Evaluator:
    """Gathers the scores of images one batch after another; the batches' sizes change nothing.

    Args:
        num_classes: classes of the label space.

    Attributes:
        scores: one entry an image, in the order they came.
        segmentation: of the labels that were predicted; empty where none were.
    """

    def __init__(self, num_classes: int) -> None:
        self.scores: list[ImageScores] = []
        self.segmentation = SegmentationCounts(num_classes)

    def update(
        self,
        inpainted: Tensor,
        original: Tensor,
        hole_mask: Tensor,
        label: Tensor | None = None,
        predicted_label: Tensor | None = None,
    ) -> None:
        """Score a batch, on the device that all of it is on.

        Args:
            inpainted, original: (B, 3, H, W) uint8.
            hole_mask: (B, 1, H, W) uint8, 1 = missing.
            label: (B, H, W) class ids, 255 = ignore; needed with ``predicted_label``.
            predicted_label: (B, H, W) class ids, or None for a method without segmentation.
        """
        self.scores += score_images(inpainted, original, hole_mask)
        if label is not None and predicted_label is not None:
            self.segmentation.update(predicted_label, label, hole_mask)

    def extend(self, other: Evaluator) -> None:
        """Add the images that another evaluator of the same classes has seen."""
        self.scores.extend(other.scores)
        self.segmentation.extend(other.segmentation)

    def summary(self) -> dict[str, float]:
        """Means of the scores; ``miou``, ``pixel_accuracy`` and both of the hole alone where labels were predicted.

        Scores that no image has (no label in any hole) are left out.
        """
        means = {name: finite_mean([getattr(score, name) for score in self.scores]) for name in SCORE_NAMES}
        means |= self.segmentation.summary()
        return {name: value for name, value in means.items() if not math.isnan(value)}


def finite_mean(values: list[float]) -> float:
    """Mean of the values that are not NaN, summed exactly (so in any order); NaN when there is none."""
    counted = [value for value in values if not math.isnan(value)]
    return math.fsum(counted) / len(counted) if counted else math.nan
