"""How good a segmenter's labels are, against people's: gathered image by image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from sgenet.evaluation.calibration import Calibration
from sgenet.evaluation.metrics import confusion_matrices, mean_iou, pixel_accuracy
from sgenet.label_space import IGNORE_ID


class SegmenterScores:
    """Scores of a segmenter over images; which come together changes nothing.

    Args:
        num_classes: C of the label space.
        threshold: pixels whose most probable class has a lower probability are not trusted.

    Attributes:
        confusion: (C, C + 1) int64 counts by true class (row) and predicted class (column, the last one *none of
            them*), of all labelled pixels.
        trusted: (C, C) of those that were given a class and are trusted, which are what automatic labels consist of.
        calibration: confidence against accuracy.
        num_labelled: pixels that people labelled.
        num_images: how many images.
    """

    def __init__(self, num_classes: int, threshold: float = 0.0) -> None:
        self.num_classes = num_classes
        self.threshold = threshold
        self.confusion = torch.zeros(num_classes, num_classes + 1, dtype=torch.int64)
        self.trusted = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self.calibration = Calibration()
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
        self.calibration.update(confidence, predicted, label)
        self.num_labelled += int((label != IGNORE_ID).sum())
        self.num_images += label.shape[0]

    def extend(self, other: SegmenterScores) -> None:
        """Add the images that another one of the same classes and threshold has seen."""
        self.confusion += other.confusion
        self.trusted += other.trusted
        self.calibration.extend(other.calibration)
        self.num_labelled += other.num_labelled
        self.num_images += other.num_images

    def to_numbers(self) -> dict[str, Any]:
        """All that was gathered, as plain numbers for a file."""
        calibration = self.calibration
        return {
            "confusion": self.confusion.tolist(),
            "trusted": self.trusted.tolist(),
            "pixels": calibration.pixels.tolist(),
            "correct": calibration.correct.tolist(),
            "confidence": calibration.confidence.tolist(),
            "num_labelled": self.num_labelled,
            "num_images": self.num_images,
        }

    def add_numbers(self, numbers: Mapping[str, Any]) -> None:
        """Add what :meth:`to_numbers` gave, of the same classes and threshold."""
        self.confusion += torch.tensor(numbers["confusion"])
        self.trusted += torch.tensor(numbers["trusted"])
        self.calibration.pixels += torch.tensor(numbers["pixels"], dtype=torch.float64)
        self.calibration.correct += torch.tensor(numbers["correct"], dtype=torch.float64)
        self.calibration.confidence += torch.tensor(numbers["confidence"], dtype=torch.float64)
        self.num_labelled += numbers["num_labelled"]
        self.num_images += numbers["num_images"]

    def summary(self) -> dict[str, float]:
        """``miou``, ``pixel_accuracy``, ``calibration_error``; ``trusted_share`` of the labelled pixels, and the first
        two of these alone. NaN where no pixel counts."""
        return {
            "miou": mean_iou(self.confusion),
            "pixel_accuracy": pixel_accuracy(self.confusion),
            "calibration_error": self.calibration.expected_error,
            "trusted_share": int(self.trusted.sum()) / self.num_labelled if self.num_labelled else float("nan"),
            "trusted_miou": mean_iou(self.trusted),
            "trusted_pixel_accuracy": pixel_accuracy(self.trusted),
        }

    def class_ious(self) -> list[float]:
        """Intersection over union of each class; NaN for one that neither was labelled nor predicted."""
        right = self.confusion.diagonal().to(torch.float64)
        predicted = self.confusion.sum(dim=0)[: self.num_classes]
        return (right / (predicted + self.confusion.sum(dim=1) - right)).tolist()
