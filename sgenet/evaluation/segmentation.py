"""Segmentations of images with holes, counted image by image."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sgenet.evaluation.counts import ConfusionCounts
from sgenet.evaluation.metrics import confusion_matrices, mean_iou, pixel_accuracy


class SegmentationCounts:
    """The confusion counts of segmentations; which images come together changes nothing.

    Args:
        num_classes: C of the label space.
        with_none: whether *none of them* may be predicted, which is never right.

    Attributes:
        whole, hole: one (C, C) matrix an image, or (C, C + 1), over the whole image and over its hole.
    """

    def __init__(self, num_classes: int, *, with_none: bool = False) -> None:
        self.whole = ConfusionCounts(num_classes, with_none=with_none)
        self.hole = ConfusionCounts(num_classes, with_none=with_none)

    def __len__(self) -> int:
        """How many images."""
        return len(self.whole)

    def update(self, predicted: Tensor, label: Tensor, hole_mask: Tensor) -> None:
        """Count a batch, on the device that all of it is on.

        Args:
            predicted: (B, H, W) class ids; another id, such as 255, means none of them.
            label: (B, H, W) class ids, 255 = ignore.
            hole_mask: (B, 1, H, W), 1 = missing.
        """
        rows, columns = self.whole.shape
        predicted = predicted.to(torch.int64).clamp(max=columns - 1)
        found = [
            confusion_matrices(predicted, label, columns, region)[:, :rows] for region in (None, hole_mask[:, 0] > 0)
        ]
        for whole, hole in torch.stack(found, dim=1).cpu().numpy():
            self.whole.append(whole)
            self.hole.append(hole)

    def extend(self, other: SegmentationCounts) -> None:
        """Add the images of other counts of the same classes."""
        self.whole.extend(other.whole)
        self.hole.extend(other.hole)

    def summary(self) -> dict[str, float]:
        """``miou``, ``pixel_accuracy`` and both of the hole alone; none of what no labelled pixel tells."""
        if not len(self):
            return {}
        whole, hole = (torch.from_numpy(counts.total()) for counts in (self.whole, self.hole))
        scores = {
            "miou": mean_iou(whole),
            "miou_hole": mean_iou(hole),
            "pixel_accuracy": pixel_accuracy(whole),
            "pixel_accuracy_hole": pixel_accuracy(hole),
        }
        return {name: score for name, score in scores.items() if not math.isnan(score)}
