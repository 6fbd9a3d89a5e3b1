"""The L1 part of Eq. 7."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sgenet.layers.spade import upsample


def l1_loss(target: Tensor, predicted: Tensor, hole_mask: Tensor, hole_weight: float = 0.0) -> Tensor:
    """Mean absolute error of up(Ŷ^l), pixels in the hole counted ``1 + hole_weight`` times (Eq. 7, first term).

    Args:
        target: Y, (B, 3, H, W).
        predicted: Ŷ^l, (B, 3, h, w), upsampled here to the target's size.
        hole_mask: (B, 1, H, W), 1 = missing.
    """
    error = (target - upsample(predicted, (target.shape[2], target.shape[3]))).abs()
    if hole_weight:
        error = error * (1 + hole_weight * hole_mask)
    return error.mean()


def squared_loss(target: Tensor, predicted: Tensor, hole_mask: Tensor) -> Tensor:
    """Mean squared error of the pixels in the holes of a batch; 0 where it has none. *Ours*, off by default.

    The mean of what a hole may hold has the least of it, and with it the highest PSNR.

    Args:
        target, predicted: (B, 3, H, W) in [-1, 1].
        hole_mask: (B, 1, H, W), 1 = missing.
    """
    error = (target - predicted).square() * hole_mask
    return error.sum() / (hole_mask.sum() * target.shape[1]).clamp(min=1)


def multi_scale_l1(target: Tensor, images: Sequence[Tensor], hole_mask: Tensor, hole_weight: float = 0.0) -> Tensor:
    """Σ_l of :func:`l1_loss` over the scales (Eq. 10)."""
    return torch.stack([l1_loss(target, image, hole_mask, hole_weight) for image in images]).sum()
