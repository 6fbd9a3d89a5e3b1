"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class ExponentialMovingAverage:
    """The smoothed copy of a network that is evaluated and released.

    The decay grows as (1 + n) / (10 + n) up to ``decay``, as TensorFlow's does, so that early averages do not remember
    the random start. Up to step (10 · decay - 1) / (1 - decay), 8,990 for 0.999, the average after n steps is therefore
    n / 10 steps old in the mean, six tenths of it from the last tenth of the steps; from there on 1 / (1 - decay).
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        self._averaged: list[Tensor] = list(self.network.parameters())
        self._buffers = list(self.network.buffers())

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards ``network`` after its ``step``-th optimizer step (counted from 1)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        current: list[Tensor] = list(network.parameters())
        torch._foreach_lerp_(self._averaged, current, 1 - decay)
        for averaged, buffer in zip(self._buffers, network.buffers(), strict=True):
            averaged.copy_(buffer)
