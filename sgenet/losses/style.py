"""Style as the correlations of activations (Gatys et al., CVPR 2016)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def gram_matrix(features: Tensor) -> Tensor:
    """F Fᵀ / (C·H·W) of activations (B, C, H, W): (B, C, C) float32."""
    channels, height, width = features.shape[1:]
    # Sums over all pixels: bfloat16 would lose the small differences between two of them.
    with torch.autocast(features.device.type, enabled=False):
        flat = features.float().flatten(2)
        return flat @ flat.transpose(1, 2) / (channels * height * width)


def style_loss(target_features: Sequence[Tensor], predicted_features: Sequence[Tensor]) -> Tensor:
    """Σ_n of the mean absolute difference of the Gram matrices."""
    pairs = zip(target_features, predicted_features, strict=True)
    return torch.stack([(gram_matrix(one) - gram_matrix(other)).abs().mean() for one, other in pairs]).sum()
