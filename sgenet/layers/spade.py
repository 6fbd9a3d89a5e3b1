"""Spatially adaptive normalisation: scale and shift of each pixel are predicted from a segmentation (Eq. 3)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from sgenet.layers.convolution import activate_, conv3x3
from sgenet.layers.normalisation import instance_norm
from sgenet.layers.resizing import resize


class SpatiallyAdaptiveNorm(nn.Module):
    """γ ⊙ (f - μ)/σ + β with γ and β convolved from class probabilities (Park et al., CVPR 2019; Eq. 3).

    Args:
        channels: of the features that are modulated.
        num_classes: channels of the class probabilities.
        hidden: channels between the two convolutions (SPADE: 128).
        at: ``coarse`` convolves at the probabilities' own scale, and γ and β are upsampled; ``fine``
            convolves the upsampled probabilities.
    """

    def __init__(self, channels: int, num_classes: int, hidden: int, at: Literal["fine", "coarse"]) -> None:
        super().__init__()
        self.at = at
        self.shared = conv3x3(num_classes, hidden)
        self.gamma_and_beta = conv3x3(hidden, 2 * channels)

    def forward(self, features: Tensor, probabilities: Tensor) -> Tensor:
        """Features (B, C, H, W) and class probabilities (B, K, h, w) of any smaller size → (B, C, H, W)."""
        size = features.shape[2:]
        if self.at == "fine":
            probabilities = resize(probabilities, size)
        modulation = self.gamma_and_beta(activate_(self.shared(probabilities)))
        # γ is predicted as a change from 1.
        gamma, beta = resize(modulation, size).chunk(2, dim=1)
        return torch.addcmul(beta, instance_norm(features), 1 + gamma)
