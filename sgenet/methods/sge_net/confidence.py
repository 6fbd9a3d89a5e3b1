"""The Segmentation Confidence Evaluation Module: which pixels to doubt (Sect. 3.2, Eq. 4)."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Rule = Literal["quantile", "fraction_of_max"]

_LARGEST_DENOMINATOR = 1_000_000
"""r^l is taken as a fraction with no larger denominator: 0.3 is 3/10."""


def confidence_map(probabilities: Tensor) -> Tensor:
    """Ŝ_Pmax: the highest class probability of each pixel; (B, K, H, W) → (B, 1, H, W) in [1/K, 1]."""
    return probabilities.amax(dim=1, keepdim=True)


def threshold(confidence: Tensor, rule: Rule, ratio: float) -> Tensor:
    """τ of each image, (B, 1, 1, 1), from its confidences (B, 1, H, W).

    Args:
        rule: ``quantile``: the value at proportion ``ratio`` of the sorted confidences, so that
            this share of the pixels does not exceed it; ``fraction_of_max``: ``ratio`` times the
            largest confidence.
        ratio: r^l in [0, 1]; 0 makes every pixel reliable.
    """
    flat = confidence.detach().flatten(1).float()
    # Integers: in an exported graph the size is a symbol, and no rounding may shift the rank.
    numerator, denominator = Fraction(ratio).limit_denominator(_LARGEST_DENOMINATOR).as_integer_ratio()
    if rule == "fraction_of_max":
        tau = flat.amax(dim=1) * ratio
    elif numerator > 0:
        rank = (numerator * flat.shape[1] + denominator - 1) // denominator
        # The largest of the ``rank`` smallest; ``kthvalue`` would be slower, and fix an exported graph's size.
        tau = flat.topk(rank, dim=1, largest=False, sorted=False).values.amax(dim=1)
    else:
        tau = torch.zeros_like(flat[:, 0])
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


def input_reliability(hole_mask: Tensor, stride: int) -> Tensor:
    """M^4: at the coarsest scale exactly the known pixels are reliable (Fig. 7).

    A coarse pixel is reliable when all of the image under it is known.

    Args:
        hole_mask: (B, 1, H, W), 1 = missing; H and W divisible by ``stride``.
        stride: pixels of the image under each pixel of scale 4.
    """
    return 1 - F.max_pool2d(hole_mask, stride)
