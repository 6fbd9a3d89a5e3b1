"""Spatially adaptive normalisation: a segmentation says how each place is scaled and shifted (Eq. 3)."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sgenet.layers.convolution import activate_, conv3x3

_EPSILON = 1e-5
_PIECE = 2**15
"""Pixels whose squares are held at a time."""


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


def channel_statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """μ and 1/σ of each channel of each picture (B, C, H, W), each (B, C, 1, 1): what :func:`normalise` uses."""
    with torch.autocast(x.device.type, enabled=False):
        mean, inverse_std = _statistics(_pixels_by_channels(x))
    return mean.transpose(1, 2)[..., None], inverse_std.transpose(1, 2)[..., None]


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


class SpatiallyAdaptiveNorm(nn.Module):
    """γ ⊙ (f - μ)/σ + β with γ and β convolved from class probabilities (Park et al., CVPR 2019; Eq. 3).

    Args:
        channels: of the features that are modulated.
        num_classes: channels of the class probabilities.
        hidden: channels between the two convolutions (SPADE: 128).
        at: ``fine`` convolves the upsampled probabilities; ``coarse`` convolves at the
            probabilities' own scale and upsamples γ and β.
    """

    ones_and_zeros: Tensor

    def __init__(self, channels: int, num_classes: int, hidden: int, at: Literal["fine", "coarse"]) -> None:
        super().__init__()
        self.at = at
        self.shared = conv3x3(num_classes, hidden)
        self.gamma_and_beta = conv3x3(hidden, 2 * channels)
        # γ is predicted as a change from 1: added to the bias, it costs no pass over the pixels.
        self.register_buffer(
            "ones_and_zeros", torch.cat((torch.ones(channels), torch.zeros(channels))), persistent=False
        )

    def prepare(self, probabilities: Tensor) -> Tensor:
        """What there is to compute of γ and β before upsampling, from probabilities (B, K, h, w): (B, …, h, w)."""
        return self._modulation(probabilities) if self.at == "coarse" else probabilities

    def modulate(self, normalised: Tensor, prepared: Tensor) -> Tensor:
        """γ ⊙ normalised + β for features (B, C, H, W) and what was prepared, upsampled to (B, …, H, W)."""
        both = prepared if self.at == "coarse" else self._modulation(prepared)
        gamma, beta = both.chunk(2, dim=1)
        return torch.addcmul(beta, normalised, gamma)

    def forward(self, features: Tensor, probabilities: Tensor) -> Tensor:
        """Modulate features (B, C, H, W) by class probabilities (B, K, h, w) of any size."""
        size = (features.shape[2], features.shape[3])
        return self.modulate(normalise(features), upsample(self.prepare(probabilities), size))

    def _modulation(self, probabilities: Tensor) -> Tensor:
        hidden = activate_(self.shared(probabilities))
        convolution = self.gamma_and_beta
        assert convolution.bias is not None
        return F.conv2d(hidden, convolution.weight, convolution.bias + self.ones_and_zeros, padding=1)


def upsample(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resizing of (B, C, h, w) to (B, C, *size); a no-op where the size is right already."""
    if (x.shape[2], x.shape[3]) == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def upsampled_rows(x: Tensor, first: int, last: int) -> Tensor:
    """Rows ``first`` to ``last - 1``, both even, of (B, C, h, w) at twice the size, from the few they need."""
    top, bottom = max(first // 2 - 1, 0), min(last // 2 + 1, x.shape[2])
    rows = x[:, :, top:bottom]
    bigger = upsample(rows, (2 * rows.shape[2], 2 * rows.shape[3]))
    return bigger[:, :, first - 2 * top : last - 2 * top]
