"""Semantic-Guided Inference: SGIM (Eq. 2, 3), SGIM+ (Eq. 5, 6), and Base-Net's plain step in their place."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sgenet.layers.convolution import ResidualBlock, activate, activate_, conv3x3
from sgenet.layers.normalisation import instance_norm
from sgenet.layers.resizing import resize
from sgenet.layers.spade import SpatiallyAdaptiveNorm
from sgenet.settings import NetworkSettings


class InferenceStep(nn.Module):
    """One decoder step, from φ^l to φ^{l-1}; arguments enable the paper's modules.

    f_de-c joins the upsampled φ^l and the encoder's skip features ϕ^{l-1}. It is normalised per channel
    and, in SG-Net, modulated by Ŝ^l (Eq. 3). The base-net F_ba turns it into φ^{l-1}. In
    SGE-Net the bias-net F_bi adds what the reliability mask M^l calls for (Eq. 6).

    F_ba also has a 1×1 shortcut from f_de-c itself, since instance
    normalisation discards the brightness of the image (*ours*).

    Args:
        coarse_width, fine_width: channels at scales l and l-1.
        num_classes: K.
        num_blocks: residual blocks applied after F_ba + F_bi (*ours*).
        guided: modulate by the segmentation (SGIM).
        evaluated: add the bias-net (SGIM+).
        settings: widths of the parts that only these modules have.
    """

    def __init__(
        self,
        coarse_width: int,
        fine_width: int,
        num_classes: int,
        num_blocks: int,
        *,
        guided: bool,
        evaluated: bool,
        settings: NetworkSettings,
    ) -> None:
        super().__init__()
        joined = 2 * fine_width
        # Channels are reduced before upsampling: the same linear map at a quarter of the work.
        self.project = nn.Conv2d(coarse_width, fine_width, 1)
        self.modulate = (
            SpatiallyAdaptiveNorm(joined, num_classes, settings.modulation_width, settings.modulation_at)
            if guided
            else None
        )
        self.base_shortcut = nn.Conv2d(joined, fine_width, 1)
        self.base_net = conv3x3(joined, fine_width)
        self.bias_net = BiasNet(joined, fine_width, settings) if evaluated else None
        self.refine = nn.Sequential(*(ResidualBlock(fine_width) for _ in range(num_blocks)))

    def forward(self, features: Tensor, skip: Tensor, probabilities: Tensor, reliability: Tensor | None) -> Tensor:
        """φ^{l-1} = infer(φ^l, ϕ^{l-1}, Ŝ^l, M^l) (Eq. 2 and 5).

        Args:
            features: φ^l, (B, C_l, H, W).
            skip: ϕ^{l-1}, (B, C_{l-1}, 2H, 2W).
            probabilities: Ŝ^l after the softmax, (B, K, H, W); Base-Net does not look at it.
            reliability: M^l, (B, 1, H, W); only SGE-Net reads it.

        Returns:
            (B, C_{l-1}, 2H, 2W).
        """
        joined = torch.cat((resize(self.project(features), skip.shape[2:]), skip), dim=1)
        normalised = instance_norm(joined) if self.modulate is None else self.modulate(joined, probabilities)
        modulated = activate(normalised)
        fine = self.base_shortcut(joined) + self.base_net(modulated)
        if self.bias_net is not None:
            fine = fine + self.bias_net(modulated, reliability)
        return self.refine(fine)


class BiasNet(nn.Module):
    """F_bi of Eq. 6: a residual from the modulated features and the translated reliability mask F(M^l)."""

    def __init__(self, joined_width: int, fine_width: int, settings: NetworkSettings) -> None:
        super().__init__()
        hidden = max(1, round(settings.bias_width_ratio * fine_width))
        self.translate = nn.Sequential(
            conv3x3(1, settings.reliability_width),
            nn.LeakyReLU(0.2),
            conv3x3(settings.reliability_width, settings.reliability_width),
        )
        self.correct = conv3x3(joined_width + settings.reliability_width, hidden)
        self.expand = nn.Conv2d(hidden, fine_width, 1)

    def forward(self, modulated: Tensor, reliability: Tensor) -> Tensor:
        """Modulated features (B, 2C, H, W) and M^l (B, 1, h, w) → (B, C, H, W)."""
        # F works at the mask's own scale: its features are upsampled, not the hard mask.
        evidence = resize(self.translate(reliability), modulated.shape[2:])
        return self.expand(activate_(self.correct(torch.cat((modulated, evidence), dim=1))))
