"""Does the confidence of the segmentation say where the filling is wrong? (Fig. 7 and 8)"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.stats
import torch
import torch.nn.functional as F
from torch import Tensor

from sgenet.checks import check_shape
from sgenet.evaluation.statistics import Estimate, Floats, bootstrap


@dataclass(frozen=True)
class Correlation:
    """How hole L1 and mean confidence in the hole vary together over images; negative is good.

    Attributes:
        pearson: linear correlation.
        spearman: rank correlation.
    """

    pearson: Estimate
    spearman: Estimate


def label_confidence(label_logits: Tensor) -> tuple[Tensor, Tensor]:
    """The most probable class of each pixel and its probability (Ŝ_Pmax of Eq. 4).

    Args:
        label_logits: (B, C, H, W).

    Returns:
        Class ids (B, H, W) int64 and confidence (B, H, W) float32 in 0–1.
    """
    confidence, label = label_logits.float().softmax(dim=1).max(dim=1)
    return label, confidence


def hole_confidence(confidence: Tensor, hole_mask: Tensor) -> Tensor:
    """Mean confidence over the pixels of each image's hole; NaN where there is no hole.

    Args:
        confidence: (B, H, W) in 0–1.
        hole_mask: (B, 1, H, W), 1 = missing.

    Returns:
        (B,) float64.
    """
    sizes = check_shape(confidence, "B H W", "confidence")
    check_shape(hole_mask, "B 1 H W", "hole_mask", **sizes)
    hole = (hole_mask[:, 0] > 0).to(torch.float64)
    return (confidence.to(torch.float64) * hole).sum(dim=(1, 2)) / hole.sum(dim=(1, 2))


def unreliable_share(reliability: Tensor, hole_mask: Tensor | None = None) -> Tensor:
    """Share of the pixels that the reliability map M^l marks as unreliable.

    Args:
        reliability: (B, 1, h, w), 1 = reliable.
        hole_mask: (B, 1, H, W), 1 = missing, at full size: only pixels of the map that touch the
            hole count. None counts all.

    Returns:
        (B,) float64; NaN where no pixel counts.
    """
    unreliable = (reliability < 0.5).to(torch.float64)
    if hole_mask is None:
        return unreliable.mean(dim=(1, 2, 3))
    hole = F.adaptive_max_pool2d((hole_mask > 0).to(torch.float32), reliability.shape[-2:]).to(torch.float64)
    return (unreliable * hole).sum(dim=(1, 2, 3)) / hole.sum(dim=(1, 2, 3))


def correlate(confidence: Sequence[float], hole_l1: Sequence[float]) -> Correlation:
    """Correlate mean confidence in the hole with the hole's L1, one pair an image (Fig. 8).

    Images for which either is NaN are left out.
    """
    pairs: npt.NDArray[np.float64] = np.stack([np.asarray(confidence), np.asarray(hole_l1)]).astype(np.float64)
    pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
    return Correlation(pearson=bootstrap(tuple(pairs), pearson), spearman=bootstrap(tuple(pairs), spearman))


def pearson(x: Floats, y: Floats, axis: int = -1) -> Floats:
    """Linear correlation along an axis; NaN where one of the two does not vary."""
    if x.shape[axis] < 2:
        return np.full(x.shape[:-1], np.nan)
    with warnings.catch_warnings():
        # Of constant input: that is what NaN says.
        warnings.simplefilter("ignore", scipy.stats.DegenerateDataWarning)
        return np.asarray(scipy.stats.pearsonr(x, y, axis=axis).statistic)


def spearman(x: Floats, y: Floats, axis: int = -1) -> Floats:
    """Rank correlation along an axis; equal values share their mean rank."""
    return pearson(scipy.stats.rankdata(x, axis=axis), scipy.stats.rankdata(y, axis=axis), axis)
