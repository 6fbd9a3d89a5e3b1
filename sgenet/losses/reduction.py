"""Means that are the same for one worker as for many."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def mean_over_ranks(total: Tensor, count: Tensor) -> Tensor:
    """``total / count`` so that averaging over ranks gives the global mean.

    Data-parallel training averages gradients over ranks. Where ranks count different numbers
    of elements (ignored pixels), the mean of their means is not the mean of all; dividing by
    the average count over ranks makes it so.

    Args:
        total: this rank's sum, a scalar with gradient.
        count: this rank's number of elements, a scalar.
    """
    return total / mean_count(count)


def mean_count(count: Tensor) -> Tensor:
    """This rank's counts, of any shape, averaged over the ranks in one exchange; float32, at least 1."""
    count = count.detach().to(torch.float32)
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        count = count.clone()
        dist.all_reduce(count)
        count = count / dist.get_world_size()
    return count.clamp(min=1)
