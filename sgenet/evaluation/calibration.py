"""Does a segmenter know how often it is right? Confidence against accuracy (Guo et al., ICML 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sgenet.checks import check_shape
from sgenet.label_space import IGNORE_ID

NUM_BINS = 20


@dataclass
class Calibration:
    """Pixels gathered by the confidence of their predicted class, in :data:`NUM_BINS` bins of equal width.

    Attributes:
        pixels: (NUM_BINS,) float64 labelled pixels of each bin.
        correct: of these, how many have the right class.
        confidence: the sum of their confidences.
    """

    pixels: Tensor = field(default_factory=lambda: torch.zeros(NUM_BINS, dtype=torch.float64))
    correct: Tensor = field(default_factory=lambda: torch.zeros(NUM_BINS, dtype=torch.float64))
    confidence: Tensor = field(default_factory=lambda: torch.zeros(NUM_BINS, dtype=torch.float64))

    def update(self, confidence: Tensor, predicted: Tensor, label: Tensor) -> None:
        """Add images.

        Args:
            confidence: (B, H, W) in 0–1.
            predicted: (B, H, W) class ids.
            label: (B, H, W) class ids; *ignore* is skipped.
        """
        sizes = check_shape(confidence, "B H W", "confidence")
        check_shape(predicted, "B H W", "predicted", **sizes)
        check_shape(label, "B H W", "label", **sizes)
        counted = label != IGNORE_ID
        sure = confidence[counted].to("cpu", torch.float64)
        right = (predicted[counted] == label[counted]).to("cpu", torch.float64)
        bins = (sure * NUM_BINS).to(torch.int64).clamp(max=NUM_BINS - 1)
        self.pixels += torch.bincount(bins, minlength=NUM_BINS)
        self.correct += torch.bincount(bins, weights=right, minlength=NUM_BINS)
        self.confidence += torch.bincount(bins, weights=sure, minlength=NUM_BINS)

    def extend(self, other: Calibration) -> None:
        """Add the pixels that another one has seen."""
        self.pixels += other.pixels
        self.correct += other.correct
        self.confidence += other.confidence

    @property
    def expected_error(self) -> float:
        """The expected calibration error: mean distance of confidence and accuracy, 0–1; NaN without pixels."""
        total = float(self.pixels.sum())
        return float((self.confidence - self.correct).abs().sum()) / total if total else math.nan

    def rows(self) -> list[dict[str, float]]:
        """Each bin that holds pixels: their ``share``, mean ``confidence`` and ``accuracy``, all 0–1."""
        total = float(self.pixels.sum())
        return [
            {"share": pixels / total, "confidence": confidence / pixels, "accuracy": correct / pixels}
            for pixels, correct, confidence in zip(
                self.pixels.tolist(), self.correct.tolist(), self.confidence.tolist(), strict=True
            )
            if pixels
        ]
