"""The multi-scale cross-entropy of Eq. 9."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from sgenet.label_space import IGNORE_ID
from sgenet.layers.resizing import resize
from sgenet.losses.reduction import mean_count


def segmentation_loss(label: Tensor, logits: Tensor, pixel_weight: Tensor | None = None) -> Tensor:
    """Cross-entropy of upsampled logits against the full-size label, averaged over the pixels that count (Eq. 9).

    Args:
        label: (B, H, W) int64 class ids, 255 = ignore.
        logits: (B, K, h, w), upsampled here to the label's size.
        pixel_weight: (B, H, W), how much each pixel counts, such as :func:`balanced_weights`; None: 1.

    Returns:
        A scalar; 0 with a gradient of 0 where every pixel is ignored.
    """
    weight = _weights(label, pixel_weight)
    return _total(label, logits, weight) / mean_count(weight.sum())


def balanced_weights(label: Tensor, num_classes: int, balance: float) -> Tensor:
    """How much each pixel counts so that rare classes count more (*ours*; the paper does not state it).

    Class c weighs (its share of the labelled pixels of the global batch) to the power of minus ``balance``, scaled so
    that a labelled pixel counts 1 on average; the same on any number of workers.

    Args:
        label: (B, H, W) int64 class ids, 255 = ignore.
        balance: 0 counts every pixel alike, 1 every class.

    Returns:
        (B, H, W) float32; 0 where the label is ignored.
    """
    counts = torch.stack([(label == class_id).sum() for class_id in range(num_classes)])
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(counts)
    shares = counts / counts.sum().clamp(min=1)
    raw = torch.where(counts > 0, shares.clamp(min=torch.finfo(shares.dtype).tiny) ** -balance, 0.0)
    weights = raw / (raw * shares).sum().clamp(min=torch.finfo(shares.dtype).tiny)
    ignored = label == IGNORE_ID
    return torch.where(ignored, 0.0, weights[label.masked_fill(ignored, 0)])


def multi_scale_segmentation(
    label: Tensor,
    logits: Sequence[Tensor],
    hole_mask: Tensor | None = None,
    hole_weight: float = 0.0,
    guide: Tensor | None = None,
    class_balance: float = 0.0,
) -> Tensor:
    """Σ_l of :func:`segmentation_loss` over the scales (Eq. 10).

    Args:
        hole_mask: (B, 1, H, W), 1 = missing; needed when ``hole_weight`` is not 0.
        hole_weight: pixels in the hole count ``1 + hole_weight`` times.
        guide: (B, H, W) int64, what the samples were guided by; a sample that was guided anywhere counts at the
            coarsest scale alone, whose features have not seen the guide; at the finer ones it would learn to copy.
        class_balance: of :func:`balanced_weights`; 0: every pixel counts alike.
    """
    balanced = balanced_weights(label, logits[0].shape[1], class_balance) if class_balance else None
    labels = [label]
    if guide is not None:
        guided = (guide != IGNORE_ID).flatten(1).any(dim=1)[:, None, None]
        labels.append(torch.where(guided, IGNORE_ID, label))
    weights = [_weights(each, balanced) for each in labels]
    if hole_weight:
        assert hole_mask is not None
        weights = [weight * (1 + hole_weight * hole_mask[:, 0]) for weight in weights]
    # One exchange between the ranks for all scales.
    counts = mean_count(torch.stack([weight.sum() for weight in weights]))
    last, terms = len(logits) - 1, []
    for scale, of_scale in enumerate(logits):
        which = 0 if scale == last else -1
        terms.append(_total(labels[which], of_scale, weights[which]) / counts[which])
    return torch.stack(terms).sum()


def _weights(label: Tensor, pixel_weight: Tensor | None) -> Tensor:
    """How much each pixel counts, (B, H, W)."""
    labelled = (label != IGNORE_ID).to(torch.float32)
    return labelled if pixel_weight is None else labelled * pixel_weight


def _total(label: Tensor, logits: Tensor, weight: Tensor) -> Tensor:
    full_size = resize(logits, label.shape[1:])
    entropy = F.cross_entropy(full_size, label, ignore_index=IGNORE_ID, reduction="none")
    return (entropy * weight).sum()
