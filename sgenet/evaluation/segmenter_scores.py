"""How good a segmenter's labels are, against people's, and whether it knows how often it is right: gathered image by
image."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sgenet.evaluation.metrics import confusion_matrices, mean_iou, pixel_accuracy
from sgenet.label_space import IGNORE_ID

NUM_BINS = 20
"""Of equal width, in which pixels are gathered by the confidence of their predicted class (Guo et al., ICML 2017)."""


class SegmenterScores:
    """Scores of a segmenter over images; which come together changes nothing.

    Args:
        num_classes: C of the label space.
        threshold: pixels whose most probable class has a lower probability are not trusted.

    Attributes:
        confusion: (C, C + 1) int64 counts by true class (row) and predicted class (column, the last one *none of
            them*), of all labelled pixels.
        trusted: (C, C) of those that were given a class and are trusted, which are what automatic labels consist of.
        pixels, correct, confidence: (NUM_BINS,) float64 labelled pixels of each bin, how many of these have the right
            class, and the sum of their confidences.
        num_labelled: pixels that people labelled.
        num_images: how many images.
    """

    def __init__(self, num_classes: int, threshold: float = 0.0) -> None:
        self.num_classes = num_classes
        self.threshold = threshold
        self.confusion = torch.zeros(num_classes, num_classes + 1, dtype=torch.int64)
        self.trusted = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self.pixels, self.correct, self.confidence = torch.zeros(3, NUM_BINS, dtype=torch.float64)
        self.num_labelled = 0
        self.num_images = 0

    def update(self, probabilities: Tensor, label: Tensor) -> None:
        """Add images.

        Args:
            probabilities: (B, C, H, W), or (B, C + 1, H, W) where the last class means *none of them*.
            label: (B, H, W) class ids, 255 = ignore.
        """
        confidence, predicted = probabilities.float().max(dim=1)
        label = label.to(predicted.device, torch.int64)
        given = predicted < self.num_classes
        with_none = confusion_matrices(predicted, label, self.num_classes + 1).sum(dim=0)
        self.confusion += with_none[: self.num_classes].cpu()
        sure = given & (confidence >= self.threshold)
        self.trusted += confusion_matrices(predicted, label, self.num_classes, sure).sum(dim=0).cpu()
        counted = label != IGNORE_ID
        confidences = confidence[counted].to("cpu", torch.float64)
        right = (predicted[counted] == label[counted]).to("cpu", torch.float64)
        bins = (confidences * NUM_BINS).to(torch.int64).clamp(max=NUM_BINS - 1)
        self.pixels += torch.bincount(bins, minlength=NUM_BINS)
        self.correct += torch.bincount(bins, weights=right, minlength=NUM_BINS)
        self.confidence += torch.bincount(bins, weights=confidences, minlength=NUM_BINS)
        self.num_labelled += len(confidences)
        self.num_images += label.shape[0]

    def extend(self, other: SegmenterScores) -> None:
        """Add the images that another one of the same classes and threshold has seen."""
        self.add_numbers(other.to_numbers())

    def to_numbers(self) -> dict[str, Any]:
        """All that was gathered, as plain numbers for a file."""
        return {
            "confusion": self.confusion.tolist(),
            "trusted": self.trusted.tolist(),
            "pixels": self.pixels.tolist(),
            "correct": self.correct.tolist(),
            "confidence": self.confidence.tolist(),
            "num_labelled": self.num_labelled,
            "num_images": self.num_images,
        }

    def add_numbers(self, numbers: Mapping[str, Any]) -> None:
        """Add what :meth:`to_numbers` gave, of the same classes and threshold."""
        for name in ("confusion", "trusted", "pixels", "correct", "confidence"):
            gathered: Tensor = getattr(self, name)
            gathered += torch.tensor(numbers[name], dtype=gathered.dtype)
        self.num_labelled += numbers["num_labelled"]
        self.num_images += numbers["num_images"]

    def summary(self) -> dict[str, float]:
        """``miou``, ``pixel_accuracy``, ``calibration_error``; ``trusted_share`` of the labelled pixels, and the first
        two of these alone. NaN where no pixel counts.

        The calibration error is the expected one: the mean distance of confidence and accuracy, 0–1.
        """
        labelled = self.num_labelled or math.nan
        return {
            "miou": mean_iou(self.confusion),
            "pixel_accuracy": pixel_accuracy(self.confusion),
            "calibration_error": float((self.confidence - self.correct).abs().sum()) / labelled,
            "trusted_share": int(self.trusted.sum()) / labelled,
            "trusted_miou": mean_iou(self.trusted),
            "trusted_pixel_accuracy": pixel_accuracy(self.trusted),
        }

    def calibration(self) -> list[dict[str, float]]:
        """Each bin that holds pixels: their ``share``, mean ``confidence`` and ``accuracy``, all 0–1."""
        bins = zip(self.pixels.tolist(), self.confidence.tolist(), self.correct.tolist(), strict=True)
        return [
            {"share": pixels / self.num_labelled, "confidence": confidence / pixels, "accuracy": correct / pixels}
            for pixels, confidence, correct in bins
            if pixels
        ]

    def class_ious(self) -> list[float]:
        """Intersection over union of each class; NaN for one that neither was labelled nor predicted."""
        right = self.confusion.diagonal().to(torch.float64)
        predicted = self.confusion.sum(dim=0)[: self.num_classes]
        return (right / (predicted + self.confusion.sum(dim=1) - right)).tolist()
