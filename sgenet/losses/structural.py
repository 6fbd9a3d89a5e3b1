"""Structural similarity as a loss: what L1 alone blurs (Zhao et al., IEEE TCI 2017). *Ours*, off by default."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_WINDOW = 11
_SIGMA = 1.5
# The constants of Wang et al. 2004 for intensities from 0 to 2.
_C1 = (0.01 * 2) ** 2
_C2 = (0.03 * 2) ** 2


def structural_loss(target: Tensor, predicted: Tensor, hole_mask: Tensor) -> Tensor:
    """1 - SSIM of the inpainted image (Gaussian window 11, σ 1.5, per channel, valid area), mean over all pixels.

    Args:
        target: Y, (B, 3, H, W) in [-1, 1], at least 11 × 11.
        predicted: Ŷ^0, of the same shape; only what lies in the hole counts.
        hole_mask: (B, 1, H, W), 1 = missing.
    """
    # SSIM is of intensities from 0 up: around a grey of 0, the luminances' product would change its sign.
    x = target.float() + 1
    y = torch.where(hole_mask > 0.5, predicted.float() + 1, x)
    mean_x, mean_y, xx, yy, xy = _blur(torch.cat((x, y, x * x, y * y, x * y), dim=1)).chunk(5, dim=1)
    variance_x, variance_y = xx - mean_x.square(), yy - mean_y.square()
    covariance = xy - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x.square() + mean_y.square() + _C1)
    structure = (2 * covariance + _C2) / (variance_x + variance_y + _C2)
    return 1 - (luminance * structure).mean()


def _blur(x: Tensor) -> Tensor:
    """Gaussian blur of every channel without padding, (B, C, H, W) → (B, C, H-10, W-10)."""
    offsets = torch.arange(_WINDOW, dtype=torch.float32, device=x.device) - _WINDOW // 2
    kernel = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    kernel = kernel / kernel.sum()
    channels = x.shape[1]
    # Variances are differences of nearly equal numbers: they need float32.
    with torch.autocast(x.device.type, enabled=False):
        rows = F.conv2d(x, kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
        return F.conv2d(rows, kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
