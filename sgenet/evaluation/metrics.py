"""Scores of inpainted images against the originals, and confusion matrices of label maps.

Every score is of one image alone and taken in float64, on the device that the images are on: no result depends on the
batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from sgenet.checks import check_shape
from sgenet.label_space import IGNORE_ID

MAX_PSNR = 100.0
"""PSNR in dB given to an image without any error, whose PSNR would be infinite and spoil every mean."""

BOUNDARY_WIDTH = 4
"""Width in pixels of the band along the hole's border, inside the hole, that ``l1_boundary`` is taken over."""

_DATA_RANGE = 255.0
_SSIM_SIGMA = 1.5
_SSIM_MARGIN = 5  # half of the 11-pixel window: nearer to the border, the window leaves the image

EDGECONNECT_WINDOW = 51
"""Side in pixels of the window that EdgeConnect's script takes SSIM over; smaller images have no such score."""

_BELL = [math.exp(-0.5 * (pixel / _SSIM_SIGMA) ** 2) for pixel in range(-_SSIM_MARGIN, _SSIM_MARGIN + 1)]
_GAUSSIAN_WINDOW = [weight / math.fsum(_BELL) for weight in _BELL]
_FLAT_WINDOW = [1 / EDGECONNECT_WINDOW] * EDGECONNECT_WINDOW


@dataclass(frozen=True, slots=True)
class ImageScores:
    """The scores of one image. A score over no pixel at all is NaN.

    Attributes:
        psnr, psnr_hole: dB over RGB in 0–255, at most :data:`MAX_PSNR`.
        ssim: structural similarity, mean over channels and the area that whole windows fit in.
        ssim_hole: the same map averaged over the pixels of the hole in that area.
        ssim_edgeconnect: SSIM as EdgeConnect's script takes it, for comparison with papers that used that; see
            :func:`ssim_edgeconnect`. NaN for images of fewer than :data:`EDGECONNECT_WINDOW` pixels a side.
        l1, l1_hole, l1_boundary: mean absolute error, 0–1; the last within the hole's border band.
        hole_ratio: share of the image that was missing.
    """

    psnr: float
    psnr_hole: float
    ssim: float
    ssim_hole: float
    l1: float
    l1_hole: float
    l1_boundary: float
    hole_ratio: float
    ssim_edgeconnect: float


def score_images(inpainted: Tensor, original: Tensor, hole_mask: Tensor) -> list[ImageScores]:
    """Score a batch, on the device that it is on; the host waits for it once.

    Args:
        inpainted, original: (B, 3, H, W) uint8; known pixels must already be the original's.
        hole_mask: (B, 1, H, W) uint8, 1 = missing.

    Raises:
        ValueError: when the shapes differ, the images are not uint8, or are smaller than 11 pixels.
    """
    sizes = check_shape(original, "B 3 H W", "original")
    check_shape(inpainted, "B 3 H W", "inpainted", **sizes)
    check_shape(hole_mask, "B 1 H W", "hole_mask", **sizes)
    if inpainted.dtype != torch.uint8 or original.dtype != torch.uint8:
        raise ValueError(f"images are scored as uint8, found {inpainted.dtype} and {original.dtype}")
    if min(sizes["H"], sizes["W"]) <= 2 * _SSIM_MARGIN:
        raise ValueError(f"SSIM needs images of at least 11 × 11 pixels, found {sizes['H']} × {sizes['W']}")
    # One at a time fits into the caches of a CPU; a GPU gets all at once.
    at_once = 1 if original.device.type == "cpu" else sizes["B"]
    parts = [slice(first, first + at_once) for first in range(0, sizes["B"], at_once)]
    scores = [_scores(inpainted[part], original[part], hole_mask[part]) for part in parts]
    return [ImageScores(*row) for row in torch.cat(scores).tolist()]


def _scores(inpainted: Tensor, original: Tensor, hole_mask: Tensor) -> Tensor:
    """(B, scores) float64, in the order of :class:`ImageScores`."""
    predicted, target = inpainted.to(torch.float64), original.to(torch.float64)
    difference = predicted - target
    # Sums of whole numbers, which are exact in any order.
    squared, absolute = difference.square(), difference.abs()
    similarity = ssim_map(predicted, target)[:, None]
    hole = hole_mask > 0
    inner = (..., slice(_SSIM_MARGIN, -_SSIM_MARGIN), slice(_SSIM_MARGIN, -_SSIM_MARGIN))
    return torch.stack(
        (
            _psnr(squared.mean(dim=(1, 2, 3))),
            _psnr(_mean(squared, hole)),
            similarity.mean(dim=(1, 2, 3)),
            _mean(similarity, hole[inner]),
            absolute.mean(dim=(1, 2, 3)) / _DATA_RANGE,
            _mean(absolute, hole) / _DATA_RANGE,
            _mean(absolute, boundary_band(hole)) / _DATA_RANGE,
            hole.to(torch.float64).mean(dim=(1, 2, 3)),
            ssim_edgeconnect(predicted, target),
        ),
        dim=1,
    )


def ssim_map(predicted: Tensor, target: Tensor) -> Tensor:
    """Structural similarity at each pixel whose 11×11 Gaussian window (σ 1.5) lies in the image (Wang et al. 2004).

    In float64: in float32, variances of bright flat areas (the sky) lose so many digits that the score is off in the
    fourth decimal.

    Args:
        predicted, target: (B, 3, H, W) float64 in 0–255.

    Returns:
        (B, H - 10, W - 10), averaged over the channels.
    """
    return _structural_similarity(predicted, target, _GAUSSIAN_WINDOW).mean(dim=1)


def ssim_edgeconnect(predicted: Tensor, target: Tensor) -> Tensor:
    """Mean structural similarity of the luminance over flat square windows, as EdgeConnect's script takes it (Nazeri
    et al. 2019). The wide window sees layout more than texture, so the value is not that of :func:`ssim_map`.

    Args:
        predicted, target: (B, 3, H, W) float64 in 0–255.

    Returns:
        (B,), the means over the windows that lie in the image; NaN where none does.
    """
    if min(predicted.shape[2:]) < EDGECONNECT_WINDOW:
        return predicted.new_full(predicted.shape[:1], math.nan)
    # The script leaves scikit-image's default as it is, which divides variances by one pixel less.
    pixels = EDGECONNECT_WINDOW**2
    similarity = _structural_similarity(_grey(predicted), _grey(target), _FLAT_WINDOW, pixels / (pixels - 1))
    return similarity.mean(dim=(1, 2))


def _grey(image: Tensor) -> Tensor:
    """Luminance (B, H, W) of (B, 3, H, W) RGB, with the weights of scikit-image's ``rgb2gray``."""
    red, green, blue = image.unbind(dim=1)
    return 0.2125 * red + 0.7154 * green + 0.0721 * blue


def _structural_similarity(x: Tensor, y: Tensor, window: Sequence[float], correction: float = 1.0) -> Tensor:
    """Of (…, H, W) at each pixel whose square window lies in the image; ``correction`` is a factor of the variances."""
    mean_x, mean_y, xx, yy, xy = _window_means(torch.stack((x, y, x * x, y * y, x * y)), window)
    variances = xx - mean_x**2 + yy - mean_y**2
    covariance = xy - mean_x * mean_y
    c1, c2 = (0.01 * _DATA_RANGE) ** 2, (0.03 * _DATA_RANGE) ** 2
    contrast = (2 * correction * covariance + c2) / (correction * variances + c2)
    return contrast * (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)


def _window_means(x: Tensor, window: Sequence[float]) -> Tensor:
    """Weighted means over the windows that lie in (…, H, W): the rows' weights times the columns'.

    By sums of shifted images: PyTorch's convolutions in float64 take several times as long on a CPU.
    """
    for dim in (-2, -1):
        size = x.shape[dim] - len(window) + 1
        means = x.narrow(dim, 0, size) * window[0]
        for start, weight in enumerate(window[1:], start=1):
            means.add_(x.narrow(dim, start, size), alpha=weight)
        x = means
    return x


def boundary_band(hole: Tensor) -> Tensor:
    """Pixels of the holes (B, 1, H, W) bool with a known one at most :data:`BOUNDARY_WIDTH` rows and columns away."""
    near_known = (~hole).to(torch.float32)
    for kernel in ((2 * BOUNDARY_WIDTH + 1, 1), (1, 2 * BOUNDARY_WIDTH + 1)):
        near_known = F.max_pool2d(near_known, kernel, stride=1, padding=(kernel[0] // 2, kernel[1] // 2))
    return hole & (near_known > 0)


def confusion_matrices(predicted: Tensor, label: Tensor, num_classes: int, region: Tensor | None = None) -> Tensor:
    """Count the pixels of each image by true class (row) and predicted class (column).

    Args:
        predicted: (B, H, W) class ids; those that count are below ``num_classes``.
        label: (B, H, W) class ids; :data:`~sgenet.label_space.IGNORE_ID` is skipped.
        region: (B, H, W) bool; only pixels in it count. None counts all.

    Returns:
        (B, C, C) int64. Matrices of several images add up.
    """
    counted = label != IGNORE_ID
    if region is not None:
        counted = counted & region
    cells = label.to(torch.int64) * num_classes + predicted.to(torch.int64)
    # What does not count goes into a cell of its own: leaving it out would make the host wait for a GPU.
    cells = torch.where(counted, cells, num_classes**2).flatten(1)
    counts = cells.new_zeros(len(cells), num_classes**2 + 1).scatter_add_(1, cells, torch.ones_like(cells))
    return counts[:, :-1].view(-1, num_classes, num_classes)


def mean_iou(matrix: Tensor) -> float:
    """Mean intersection over union of the classes that occur as label or as prediction; NaN for none.

    Args:
        matrix: (C, C) confusion counts of all images together.
    """
    return float(mean_ious(matrix))


def mean_ious(matrices: Tensor) -> Tensor:
    """:func:`mean_iou` of each of many matrices: (…, C, C) counts → (…) float64.

    (…, C, C + 1) where there is one more prediction, *none of them*, which is never right.
    """
    intersection = matrices.diagonal(dim1=-2, dim2=-1).to(torch.float64)
    union = matrices.sum(dim=-2)[..., : matrices.shape[-2]] + matrices.sum(dim=-1) - intersection
    occurs = union > 0
    return torch.where(occurs, intersection / union, 0.0).sum(dim=-1) / occurs.sum(dim=-1)


def mious_of_counts(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """:func:`mean_ious` of NumPy's counts."""
    values: npt.NDArray[np.float64] = mean_ious(torch.from_numpy(counts)).numpy()
    return values


def miou_differences(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The mIoU of the first of two less that of the second: (…, 2, C, C) → (…)."""
    values = mious_of_counts(counts)
    difference: npt.NDArray[np.float64] = values[..., 0] - values[..., 1]
    return difference


def pixel_accuracy(matrix: Tensor) -> float:
    """Share of the counted pixels whose class is right; NaN where no pixel counts."""
    total = int(matrix.sum())
    return float(matrix.diagonal().sum()) / total if total else math.nan


def _psnr(mean_squared_error: Tensor) -> Tensor:
    return (10 * torch.log10(_DATA_RANGE**2 / mean_squared_error)).clamp(max=MAX_PSNR)


def _mean(values: Tensor, region: Tensor) -> Tensor:
    """Of (B, C, H, W) over the pixels of a region (B, 1, H, W) bool: (B,), NaN where it is empty."""
    total = torch.where(region, values, 0.0).sum(dim=(1, 2, 3))
    return total / (region.sum(dim=(1, 2, 3)) * values.shape[1])
