"""The L1 part of Eq. 7, and PSNR as a loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sgenet.layers.resizing import resize

_SMALLEST_ERROR = 1e-4
"""Mean square in a range of 2: what PSNR beyond 46 dB would add is not worth a gradient."""


def l1_loss(target: Tensor, predicted: Tensor, hole_mask: Tensor, hole_weight: float = 0.0) -> Tensor:
    """Mean absolute error of up(Ŷ^l), pixels in the hole counted ``1 + hole_weight`` times (Eq. 7, first term).

    Args:
        target: Y, (B, 3, H, W).
        predicted: Ŷ^l, (B, 3, h, w), upsampled here to the target's size.
        hole_mask: (B, 1, H, W), 1 = missing.
    """
    error = (target - resize(predicted, target.shape[2:])).abs()
    if hole_weight:
        error = error * (1 + hole_weight * hole_mask)
    return error.mean()


def psnr_loss(target: Tensor, predicted: Tensor, hole_mask: Tensor) -> Tensor:
    """Minus the PSNR in the hole in dB, mean over the images, as NAFNet is trained (Chen et al., ECCV 2022). *Ours*.

    The logarithm is what makes it worth while to be exact where a hole is easy; L1 and squared error are all but
    decided by the difficult ones.

    Args:
        target, predicted: (B, 3, H, W) in [-1, 1].
        hole_mask: (B, 1, H, W), 1 = missing; an image without a hole counts as filled with no error.
    """
    squared = ((target - predicted).float().square() * hole_mask).sum((1, 2, 3))
    error = squared / (hole_mask.sum((1, 2, 3)) * target.shape[1]).clamp(min=1)
    # A range of 2, hence 4.
    return 10 * torch.log10((error + _SMALLEST_ERROR) / 4).mean()


def multi_scale_l1(target: Tensor, images: Sequence[Tensor], hole_mask: Tensor, hole_weight: float = 0.0) -> Tensor:
    """Σ_l of :func:`l1_loss` over the scales (Eq. 10)."""
    return torch.stack([l1_loss(target, image, hole_mask, hole_weight) for image in images]).sum()
