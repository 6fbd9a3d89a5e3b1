"""Label maps as the channels that SPG-Net's networks and discriminators see."""

from __future__ import annotations

import torch
from torch import Tensor


def one_hot(label: Tensor, num_classes: int) -> Tensor:
    """(B, H, W) int64 → (B, K, H, W) float32 of 0 and 1; all 0 where there is no class id, such as 255."""
    classes = torch.arange(num_classes, device=label.device)
    return (label[:, None] == classes[None, :, None, None]).to(torch.float32)
