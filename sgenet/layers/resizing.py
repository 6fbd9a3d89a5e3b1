"""Bilinear resizing, as every network and loss here does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


def upsample(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear resizing of (B, C, h, w) to (B, C, *size); a no-op where the size is right already."""
    if tuple(x.shape[2:]) == tuple(size):
        return x
    if x.is_cuda and torch.are_deterministic_algorithms_enabled():
        # PyTorch would gather the four neighbours of every pixel, and sort them in the backward pass.
        resized: Tensor = DeterministicUpsample.apply(x, size)
        return resized
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


class DeterministicUpsample(torch.autograd.Function):
    """The same, with a gradient that is two matrix products: no two threads add to one number."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: Sequence[int]) -> Tensor:
        """(B, C, h, w) → (B, C, *size)."""
        ctx.small = x.shape[2:]
        return torch.ops.aten.upsample_bilinear2d(x, size, False)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """∂y → ∂x."""
        (height, width), gradient = ctx.small, gradients[0]
        batch, channels, tall, wide = gradient.shape
        # Channels last, so that a row of pixels is a row of the matrix.
        rows = gradient.permute(0, 2, 3, 1).reshape(batch, tall, wide * channels)
        rows = _weights(height, tall, gradient) @ rows
        columns = _weights(width, wide, gradient) @ rows.view(batch * height, wide, channels)
        return columns.view(batch, height, width, channels).permute(0, 3, 1, 2), None


def _weights(small: int, large: int, like: Tensor) -> Tensor:
    """(small, large): what each of the small side's pixels gives to the large side's."""
    identity = torch.eye(small, device=like.device)[None]
    return F.interpolate(identity, size=large, mode="linear", align_corners=False)[0].to(like.dtype)
