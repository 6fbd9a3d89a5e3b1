"""The multi-scale cross-entropy of Eq. 9."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sgenet.label_space import IGNORE_ID
from sgenet.layers.resizing import upsample
from sgenet.losses.reduction import mean_over_ranks


def segmentation_loss(
    label: Tensor, logits: Tensor, hole_mask: Tensor | None = None, hole_weight: float = 0.0
) -> Tensor:
    """Cross-entropy of upsampled logits against the full-size label, averaged over the pixels that count (Eq. 9).

    Args:
        label: (B, H, W) int64 class ids, 255 = ignore.
        logits: (B, K, h, w), upsampled here to the label's size.
        hole_mask: (B, 1, H, W), 1 = missing; needed when ``hole_weight`` is not 0.
        hole_weight: pixels in the hole count ``1 + hole_weight`` times.

    Returns:
        A scalar; 0 with a gradient of 0 where every pixel is ignored.
    """
    full_size = upsample(logits, (label.shape[1], label.shape[2]))
    entropy = F.cross_entropy(full_size, label, ignore_index=IGNORE_ID, reduction="none")
    weight = (label != IGNORE_ID).to(entropy.dtype)
    if hole_weight:
        assert hole_mask is not None
        weight = weight * (1 + hole_weight * hole_mask[:, 0])
    return mean_over_ranks((entropy * weight).sum(), weight.sum())


def multi_scale_segmentation(
    label: Tensor,
    logits: Sequence[Tensor],
    hole_mask: Tensor | None = None,
    hole_weight: float = 0.0,
    guide: Tensor | None = None,
) -> Tensor:
    """Σ_l of :func:`segmentation_loss` over the scales (Eq. 10).

    Args:
        guide: (B, H, W) int64, what the samples were guided by; a sample that was guided anywhere counts at the
            coarsest scale alone, whose features have not seen the guide; at the finer ones it would learn to copy.
    """
    unguided = label
    if guide is not None:
        unguided = torch.where((guide != IGNORE_ID).flatten(1).any(dim=1)[:, None, None], IGNORE_ID, label)
    last = len(logits) - 1
    return torch.stack(
        [
            segmentation_loss(label if scale == last else unguided, of_scale, hole_mask, hole_weight)
            for scale, of_scale in enumerate(logits)
        ]
    ).sum()
