"""The Segmentation Confidence Evaluation Module: which pixels to doubt (Sect. 3.2, Eq. 4)."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Rule = Literal["quantile", "fraction_of_max"]


def confidence_map(probabilities: Tensor) -> Tensor:
    """Ŝ_Pmax: the highest class probability of each pixel; (B, K, H, W) → (B, 1, H, W) in [1/K, 1]."""
    return probabilities.amax(dim=1, keepdim=True)


def threshold(confidence: Tensor, rule: Rule, ratio: float) -> Tensor:
    """τ of each picture, (B, 1, 1, 1), from its confidences (B, 1, H, W).

    Args:
        rule: ``quantile``: the value at proportion ``ratio`` of the sorted confidences, so that
            this share of the pixels does not exceed it; ``fraction_of_max``: ``ratio`` times the
            largest confidence.
        ratio: r^l in [0, 1]; 0 makes every pixel reliable.
    """
    flat = confidence.detach().flatten(1).float()
    if rule == "fraction_of_max":
        tau = flat.amax(dim=1) * ratio
    else:
        rank = math.ceil(ratio * flat.shape[1])
        tau = flat.kthvalue(rank, dim=1).values if rank > 0 else torch.zeros_like(flat[:, 0])
    return tau.view(-1, 1, 1, 1)


def reliability_mask(probabilities: Tensor, rule: Rule, ratio: float) -> Tensor:
    """M^l of Eq. 4: 1 where a pixel's confidence exceeds τ^l, else 0; no gradient passes.

    Args:
        probabilities: Ŝ^l, (B, K, H, W), sums to 1 over K.

    Returns:
        (B, 1, H, W) of 0 and 1, in the dtype of ``probabilities``.
    """
    confidence = confidence_map(probabilities.detach()).float()
    return (confidence > threshold(confidence, rule, ratio)).to(probabilities.dtype)


def input_reliability(hole_mask: Tensor, size: tuple[int, int]) -> Tensor:
    """M^4: at the coarsest scale exactly the known pixels are reliable (Fig. 7).

    A coarse pixel is reliable when all of the picture under it is known.

    Args:
        hole_mask: (B, 1, H, W), 1 = missing.
        size: height and width of scale 4.
    """
    return 1 - F.adaptive_max_pool2d(hole_mask, size)
