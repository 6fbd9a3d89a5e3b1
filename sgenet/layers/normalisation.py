"""Normalisation of whole features, and of a band of their rows by the statistics of all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sgenet.layers.bands import Band, bands, is_whole

_EPSILON = 1e-5
_GROUP_WIDTH = 16
"""Channels that share their statistics in a group normalisation."""

_PIECE = 2**15
"""Pixels whose squares are held at a time."""

OfRows = Callable[[Tensor], Tensor]
"""Rows of features (B, C, h, W) → the same rows normalised, as new memory."""


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation in groups of about 16 channels: independent of the batch, keeps relative brightness."""
    num_groups = max(1, channels // _GROUP_WIDTH)
    while channels % num_groups:
        num_groups -= 1
    return nn.GroupNorm(num_groups, channels)


def group_norm_of(norm: nn.GroupNorm, x: Tensor) -> OfRows:
    """A group normalisation with the statistics of ``x`` (B, C, H, W), for rows of it."""
    if is_whole(x):
        return norm
    mean, variance = _channel_moments(lambda band: band.read(x), x)
    of_groups = (len(mean), norm.num_groups, -1)
    grouped_mean = mean.view(of_groups)
    group_mean = grouped_mean.mean(dim=2, keepdim=True)
    # Of all pixels of a group: within its channels, and between them.
    group_variance = (variance.view(of_groups) + (grouped_mean - group_mean).square()).mean(dim=2, keepdim=True)
    scale = norm.weight.view(1, *of_groups[1:]) * torch.rsqrt(group_variance + norm.eps)
    shift = norm.bias.view(1, *of_groups[1:]) - scale * group_mean
    return _Affine(scale.flatten(1), shift.flatten(1))


def instance_norm_of(read: Callable[[Band], Tensor], like: Tensor) -> OfRows:
    """(x - μ) / σ with μ and σ of each channel of each picture (Eq. 3), for rows of x.

    Args:
        read: gives a band's rows of x, (B, C, h, W).
        like: features of x's size.
    """
    if is_whole(like):
        return normalise
    mean, variance = _channel_moments(read, like)
    inverse_std = torch.rsqrt(variance + _EPSILON)
    return _Affine(inverse_std, -mean * inverse_std)


class _Affine:
    """Rows times a scale plus a shift, each (B, C)."""

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        self.scale, self.shift = (values.float()[:, :, None, None] for values in (scale, shift))

    def __call__(self, rows: Tensor) -> Tensor:
        # In float32 until the end: a rounded scale would be off for all pixels of a channel alike.
        return torch.addcmul(self.shift, rows, self.scale).to(rows.dtype)


def _channel_moments(read: Callable[[Band], Tensor], like: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel of each picture, both (B, C) float32, from one band after the other."""
    mean = variance = torch.zeros(like.shape[0], 1, device=like.device)
    num_rows = 0
    for band in bands(like):
        band_mean, band_variance = _moments(read(band))
        share = (band.last - band.first) / (num_rows + band.last - band.first)
        difference = band_mean - mean
        # Variances add up, and so does what the means differ by (Chan et al., 1979).
        variance = torch.lerp(variance, band_variance, share) + share * (1 - share) * difference.square()
        mean = mean + share * difference
        num_rows += band.last - band.first
    return mean, variance


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel of each picture (B, C, H, W), both (B, C) float32.

    Batch normalisation keeps them as it computes, in a third of the time that sums and squares of their own take
    with channels last.
    """
    mean, variance = x.new_zeros((2, *x.shape[:2]), dtype=torch.float32)
    for picture in range(len(x)):
        F.batch_norm(x[picture : picture + 1], mean[picture], variance[picture], training=True, momentum=1.0)
    num_pixels = x.shape[2] * x.shape[3]
    return mean, variance * ((num_pixels - 1) / num_pixels)


def normalise(x: Tensor) -> Tensor:
    """(x - μ) / σ with μ and σ of each channel of each picture, no affine part (Eq. 3); (B, C, H, W)."""
    return _InstanceNorm.apply(x)


class _InstanceNorm(torch.autograd.Function):
    """Instance normalisation of channels-last features, with its gradient written out.

    PyTorch's own kernels on the CPU take 4 to 10 times as long with one channel a group and
    channels last (88 ms against 11 ms for 8 × 48 × 128 × 128 in bfloat16 on two cores): means
    as matrix products keep the memory layout and accumulate in float32.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            flat = _pixels_by_channels(x)
            mean, inverse_std = _statistics(flat)
            normalised = (flat - mean).mul_(inverse_std)
        ctx.save_for_backward(normalised, inverse_std)
        return _as_picture(normalised, x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        normalised, inverse_std = ctx.saved_tensors
        gradient = _pixels_by_channels(gradients[0])
        centred = gradient - _channel_means(gradient)
        projected = _channel_means(gradient * normalised)
        return _as_picture(centred.addcmul_(normalised, projected, value=-1).mul_(inverse_std), gradients[0].shape)


def _statistics(flat: Tensor) -> tuple[Tensor, Tensor]:
    """μ and 1/σ of (B, N, C), each (B, 1, C)."""
    mean = _channel_means(flat)
    variance = torch.zeros_like(mean, dtype=torch.promote_types(flat.dtype, torch.float32))
    # Squares of all pixels at once would be as large again as the features; an exported graph has no loop.
    pieces = (flat,) if torch.compiler.is_compiling() else torch.split(flat, _PIECE, dim=1)
    for piece in pieces:
        centred = piece - mean
        variance += _channel_means(centred.mul_(centred)) * (piece.shape[1] / flat.shape[1])
    return mean, torch.rsqrt(variance + _EPSILON).to(flat.dtype)


def _pixels_by_channels(x: Tensor) -> Tensor:
    """(B, C, H, W) → (B, H·W, C), a view where the memory is channels-last."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, x.shape[1])


def _as_picture(flat: Tensor, shape: torch.Size) -> Tensor:
    """(B, H·W, C) → (B, C, H, W) as a channels-last view."""
    batch, channels, height, width = shape
    return flat.view(batch, height, width, channels).permute(0, 3, 1, 2)


def _channel_means(flat: Tensor) -> Tensor:
    """(B, N, C) → (B, 1, C)."""
    batch, num_pixels, _ = flat.shape
    weights = flat.new_full((1, 1, num_pixels), 1 / num_pixels).expand(batch, 1, num_pixels)
    return torch.bmm(weights, flat)
