"""Segmentations of images with holes, counted image by image."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import scipy.sparse
import torch
from torch import Tensor

from sgenet.evaluation.metrics import confusion_matrices, mean_iou, pixel_accuracy


class ConfusionCounts:
    """The confusion matrix of every image, sparse: an image shows a handful of the classes.

    Args:
        num_classes: C.
        with_none: whether there is one more predicted class, *none of them*.

    Attributes:
        shape: of an image's matrix: (C, C), or (C, C + 1).
    """

    def __init__(self, num_classes: int, *, with_none: bool = False) -> None:
        self.shape = (num_classes, num_classes + with_none)
        self._rows = scipy.sparse.csr_array((0, math.prod(self.shape)), dtype=np.int64)  # one an image

    def __len__(self) -> int:
        """How many images."""
        return int(self._rows.shape[0])

    def append(self, matrices: npt.NDArray[np.int64]) -> None:
        """Add the matrices of the next images: (N, *shape)."""
        added = scipy.sparse.csr_array(matrices.reshape(len(matrices), -1))
        self._rows = scipy.sparse.vstack([self._rows, added], format="csr")

    def extend(self, other: ConfusionCounts) -> None:
        """Add the images of another table of the same classes."""
        self._rows = scipy.sparse.vstack([self._rows, other._rows], format="csr")

    def __getitem__(self, images: slice) -> npt.NDArray[np.int64]:
        """The matrices of neighbouring images: (N, *shape)."""
        dense: npt.NDArray[np.int64] = self._rows[images].toarray()
        return dense.reshape(-1, *self.shape)

    def total(self, images: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.int64]:
        """The sum of the matrices of some images, by their positions; of all for None."""
        total: npt.NDArray[np.int64] = (self._rows if images is None else self._rows[images]).sum(axis=0)
        return total.reshape(self.shape)


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
        whole, hole = torch.stack(found, dim=1).cpu().numpy().swapaxes(0, 1)
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
