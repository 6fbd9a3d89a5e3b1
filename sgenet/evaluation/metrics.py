"""Scores of one inpainted image against the original, and confusion matrices of label maps.

Every score is taken in float64 on one image at a time, so no result depends on the batch size.
"""

from __future__ import annotations

import math
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


def score_image(
    inpainted: Tensor, original: Tensor, hole_mask: Tensor, boundary_width: int = BOUNDARY_WIDTH
) -> ImageScores:
    """Score one image.

    Args:
        inpainted, original: (3, H, W) uint8; known pixels must already be the original's.
        hole_mask: (1, H, W) uint8, 1 = missing.
        boundary_width: of the border band in pixels.

    Raises:
        ValueError: when the shapes differ, the images are not uint8, or are smaller than 11 pixels.
    """
    sizes = check_shape(original, "3 H W", "original")
    check_shape(inpainted, "3 H W", "inpainted", **sizes)
    check_shape(hole_mask, "1 H W", "hole_mask", **sizes)
    if inpainted.dtype != torch.uint8 or original.dtype != torch.uint8:
        raise ValueError(f"images are scored as uint8, found {inpainted.dtype} and {original.dtype}")
    if min(sizes["H"], sizes["W"]) <= 2 * _SSIM_MARGIN:
        raise ValueError(f"SSIM needs images of at least 11 × 11 pixels, found {sizes['H']} × {sizes['W']}")

    predicted, target = (image.to("cpu", torch.float64) for image in (inpainted, original))
    hole = hole_mask[0].cpu() > 0
    everywhere = torch.ones_like(hole)
    similarity = ssim_map(predicted, target)
    inner = (slice(_SSIM_MARGIN, -_SSIM_MARGIN),) * 2
    return ImageScores(
        psnr=_psnr(predicted, target, everywhere),
        psnr_hole=_psnr(predicted, target, hole),
        ssim=_mean(similarity),
        ssim_hole=_mean(similarity[hole[inner]]),
        l1=_l1(predicted, target, everywhere),
        l1_hole=_l1(predicted, target, hole),
        l1_boundary=_l1(predicted, target, boundary_band(hole, boundary_width)),
        hole_ratio=_mean(hole.to(torch.float64)),
        ssim_edgeconnect=ssim_edgeconnect(predicted, target),
    )


def ssim_map(predicted: Tensor, target: Tensor) -> Tensor:
    """Structural similarity at each pixel whose 11×11 Gaussian window (σ 1.5) lies in the image (Wang et al. 2004).

    In float64: in float32, variances of bright flat areas (the sky) lose so many digits that the score is off in the
    fourth decimal.

    Args:
        predicted, target: (3, H, W) float64 in 0–255, on the CPU.

    Returns:
        (H - 10, W - 10), averaged over the channels.
    """
    from skimage.metrics import structural_similarity

    _, similarity = structural_similarity(  # type: ignore[no-untyped-call]
        predicted.numpy(),
        target.numpy(),
        channel_axis=0,
        data_range=_DATA_RANGE,
        gaussian_weights=True,
        sigma=_SSIM_SIGMA,
        use_sample_covariance=False,
        full=True,
    )
    inner = slice(_SSIM_MARGIN, -_SSIM_MARGIN)
    return torch.from_numpy(similarity)[:, inner, inner].mean(dim=0)


def ssim_edgeconnect(predicted: Tensor, target: Tensor) -> float:
    """Mean structural similarity of the luminance over flat square windows, as EdgeConnect's script takes it (Nazeri
    et al. 2019). The wide window sees layout more than texture, so the value is not that of :func:`ssim_map`.

    Args:
        predicted, target: (3, H, W) float64 in 0–255, on the CPU.

    Returns:
        The mean over the windows that lie in the image; NaN where none does.
    """
    from skimage.color import rgb2gray
    from skimage.metrics import structural_similarity

    if min(predicted.shape[1:]) < EDGECONNECT_WINDOW:
        return math.nan
    grey = [rgb2gray(image.numpy(), channel_axis=0) for image in (predicted, target)]
    similarity = structural_similarity(  # type: ignore[no-untyped-call]
        *grey, data_range=_DATA_RANGE, win_size=EDGECONNECT_WINDOW
    )
    return float(similarity)


def boundary_band(hole: Tensor, width: int) -> Tensor:
    """Pixels of the hole (H, W) bool that have a known pixel at most ``width`` rows and columns away."""
    known = (~hole).to(torch.float32)[None, None]
    near_known = F.max_pool2d(known, kernel_size=2 * width + 1, stride=1, padding=width)[0, 0] > 0
    return hole & near_known


def confusion_matrix(predicted: Tensor, label: Tensor, num_classes: int, region: Tensor | None = None) -> Tensor:
    """Count the pixels of one image by true class (row) and predicted class (column).

    Args:
        predicted: (H, W) class ids below ``num_classes``.
        label: (H, W) class ids; :data:`~sgenet.label_space.IGNORE_ID` is skipped.
        region: (H, W) bool; only pixels in it count. None counts all.

    Returns:
        (C, C) int64. Matrices of several images add up.
    """
    counted = label != IGNORE_ID
    if region is not None:
        counted = counted & region
    pairs = label[counted].to(torch.int64) * num_classes + predicted[counted].to(torch.int64)
    return torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes)


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


def _psnr(predicted: Tensor, target: Tensor, region: Tensor) -> float:
    if not bool(region.any()):
        return math.nan
    error = float((predicted[:, region] - target[:, region]).square().mean())
    return min(10 * math.log10(_DATA_RANGE**2 / error), MAX_PSNR) if error else MAX_PSNR


def _l1(predicted: Tensor, target: Tensor, region: Tensor) -> float:
    return _mean((predicted[:, region] - target[:, region]).abs()) / _DATA_RANGE


def _mean(values: Tensor) -> float:
    return float(values.mean()) if values.numel() else math.nan
