"""Counts that make a mean the same for one worker as for many."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def mean_count(count: Tensor) -> Tensor:
    """This rank's counts, of any shape, averaged over the ranks in one exchange; float32, at least 1.

    What a rank's sum is divided by: data-parallel training averages gradients over ranks, and where these count
    different numbers of elements (ignored pixels), the mean of their means is not the mean of all.
    """
    count = count.detach().to(torch.float32)
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        count = count.clone()
        dist.all_reduce(count)
        count = count / dist.get_world_size()
    return count.clamp(min=1)
