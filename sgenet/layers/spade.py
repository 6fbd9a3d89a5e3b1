"""Spatially adaptive normalisation: a segmentation says how each place is scaled and shifted (Eq. 3)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgenet.layers.convolution import activate_, conv3x3


class SpatiallyAdaptiveNorm(nn.Module):
    """γ ⊙ (f - μ)/σ + β with γ and β convolved from class probabilities (Park et al., CVPR 2019; Eq. 3).

    Its user normalises, prepares, upsamples what was prepared, and modulates: a band of rows at a time if he likes.

    Args:
        channels: of the features that are modulated.
        num_classes: channels of the class probabilities.
        hidden: channels between the two convolutions (SPADE: 128).
        at: ``coarse`` convolves at the probabilities' own scale, and γ and β are upsampled; ``fine``
            convolves the upsampled probabilities.
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

    @property
    def reach(self) -> int:
        """How many rows away from a modulated one those lie that :meth:`modulate` convolves for it."""
        return 0 if self.at == "coarse" else 2

    def prepare(self, probabilities: Tensor) -> Tensor:
        """What there is to compute of γ and β before upsampling, from probabilities (B, K, h, w): (B, …, h, w)."""
        return self._modulation(probabilities) if self.at == "coarse" else probabilities

    def modulate(self, normalised: Tensor, prepared: Tensor) -> Tensor:
        """γ ⊙ normalised + β for features (B, C, H, W) and what was prepared, upsampled to (B, …, H, W)."""
        both = prepared if self.at == "coarse" else self._modulation(prepared)
        gamma, beta = both.chunk(2, dim=1)
        return torch.addcmul(beta, normalised, gamma)

    def _modulation(self, probabilities: Tensor) -> Tensor:
        hidden = activate_(self.shared(probabilities))
        convolution = self.gamma_and_beta
        assert convolution.bias is not None
        return F.conv2d(hidden, convolution.weight, convolution.bias + self.ones_and_zeros, padding=1)
