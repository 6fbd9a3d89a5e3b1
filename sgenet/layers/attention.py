"""Contextual attention: fill with patches of what is known (Yu et al., CVPR 2018)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

RATE = 2
"""Patches are compared at 1/RATE of the features' size and pasted at full size."""
_COMPARED = 3
_PASTED = 2 * RATE
_SCALE = 10.0
_EPSILON = 1e-4


def contextual_attention(features: Tensor, hole_mask: Tensor) -> Tensor:
    """Redraw features from patches of the same features that lie outside the hole.

    Every 3×3 patch of the features at half size is compared with all others by cosine similarity;
    the similarities are fused, so that neighbours prefer neighbours; a softmax over the known
    patches (times 10) weighs 4×4 patches of the full-size features, which are pasted with
    stride 2 and averaged where they overlap.

    Args:
        features: (B, C, H, W); H and W divisible by 2.
        hole_mask: (B, 1, H, W), 1 = missing. A patch is known when nothing of it is missing.

    Returns:
        (B, C, H, W) in the dtype of ``features``; 0 where an image has no known patch.

    Raises:
        ValueError: a size is odd.
    """
    height, width = features.shape[2:]
    if height % RATE or width % RATE:
        raise ValueError(f"height and width must be divisible by {RATE}, found {height}×{width}")
    # The softmax takes up to 90 times a cosine: bfloat16 would round its arguments by tenths.
    with torch.autocast(features.device.type, enabled=False):
        weights = _attention_weights(features.float(), hole_mask.float())
        return _paste(features.float(), weights).to(features.dtype)


def _attention_weights(features: Tensor, hole_mask: Tensor) -> Tensor:
    """(B, N, N) for the N = H/2 · W/2 patches: how much of each known patch (last axis) a patch is made of."""
    small = features[:, :, ::RATE, ::RATE]
    patches = F.unfold(small, _COMPARED, padding=_COMPARED // 2)
    directions = patches / patches.norm(dim=1, keepdim=True).clamp(min=_EPSILON)
    similarity = fuse(directions.transpose(1, 2) @ directions, (small.shape[2], small.shape[3]))
    missing = F.max_pool2d(F.max_pool2d(hole_mask, RATE), _COMPARED, stride=1, padding=_COMPARED // 2)
    known = missing.flatten(2) < 0.5
    # The smallest number rather than -inf: an image without known patches must not give NaN.
    scores = (_SCALE * similarity).masked_fill(~known, torch.finfo(similarity.dtype).min)
    return torch.softmax(scores, dim=2) * known


def fuse(similarity: Tensor, size: tuple[int, int]) -> Tensor:
    """Add to each pair's similarity that of both neighbouring pairs: along the rows, then along the columns.

    s'(y, x; v, u) = Σ_i s(y, x+i; v, u+i), then the same with y and v; i = -1, 0, 1; 0 outside.

    Args:
        similarity: (B, N, N) for N places in reading order.
        size: height and width of the N places.
    """
    height, width = size
    pairs = similarity.view(-1, height, width, height, width)
    # Padding of (u, v, x, y), before and after each.
    along_rows = pairs + F.pad(pairs[:, :, :-1, :, :-1], (1, 0, 0, 0, 1, 0))
    along_rows += F.pad(pairs[:, :, 1:, :, 1:], (0, 1, 0, 0, 0, 1))
    fused = along_rows + F.pad(along_rows[:, :-1, :, :-1], (0, 0, 1, 0, 0, 0, 1, 0))
    fused += F.pad(along_rows[:, 1:, :, 1:], (0, 0, 0, 1, 0, 0, 0, 1))
    return fused.view_as(similarity)


def _paste(features: Tensor, weights: Tensor) -> Tensor:
    """Overlapping patches of (B, C, H, W), mixed by weights (B, N, N), averaged where they overlap."""
    size = (features.shape[2], features.shape[3])
    overlaps = _fold(_unfold(features.new_ones(1, 1, *size)), size)
    return _fold(_unfold(features) @ weights.transpose(1, 2), size) / overlaps


def _unfold(features: Tensor) -> Tensor:
    return F.unfold(features, _PASTED, padding=RATE // 2, stride=RATE)


def _fold(patches: Tensor, size: tuple[int, int]) -> Tensor:
    return F.fold(patches, size, _PASTED, padding=RATE // 2, stride=RATE)
