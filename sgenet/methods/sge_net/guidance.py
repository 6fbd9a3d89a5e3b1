"""Semantic-Guided Inference: SGIM (Eq. 2, 3), SGIM+ (Eq. 5, 6), and Base-Net's plain step in their place."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgenet.layers.bands import Band, in_bands
from sgenet.layers.convolution import ResidualBlock, activate, activate_, conv3x3
from sgenet.layers.normalisation import instance_norm_of
from sgenet.layers.spade import SpatiallyAdaptiveNorm
from sgenet.settings import NetworkSettings


class InferenceStep(nn.Module):
    """From φ^l to φ^{l-1}: the decoder's step, with the paper's modules switched by arguments.

    f_de-c joins the upsampled φ^l and the skip features ϕ^{l-1}. It is normalised per channel
    and, in SG-Net, modulated by Ŝ^l (Eq. 3). The base-net F_ba turns it into φ^{l-1}. In
    SGE-Net the bias-net F_bi adds what the reliability mask M^l calls for (Eq. 6).

    F_ba also has a 1×1 shortcut from f_de-c itself, since normalising each channel of each
    picture alone would forget how bright the picture is (*ours*).

    Args:
        coarse_width, fine_width: channels at scales l and l-1.
        num_classes: K.
        num_blocks: residual blocks of F_ba.
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

    def forward(self, projected: Tensor, skip: Tensor, probabilities: Tensor, reliability: Tensor | None) -> Tensor:
        """What Eq. 6 sums, which ``refine`` makes φ^{l-1} = infer(φ^l, ϕ^{l-1}, Ŝ^l, M^l) of (Eq. 2 and 5).

        ``project``, this and ``refine`` are called one after the other, and not within each other, so that the
        caller can let go of what the next does not need.

        Args:
            projected: φ^l after ``project``, (B, C_{l-1}, H, W).
            skip: ϕ^{l-1}, (B, C_{l-1}, 2H, 2W).
            probabilities: Ŝ^l after the softmax, (B, K, H, W).
            reliability: M^l, (B, 1, H, W); only SGE-Net reads it.

        Returns:
            F_ba + F_bi, (B, C_{l-1}, 2H, 2W).
        """
        size = (skip.shape[2], skip.shape[3])
        prepared = None if self.modulate is None else self.modulate.prepare(probabilities)
        evidence = None
        if self.bias_net is not None:
            assert reliability is not None
            # F works at the mask's own scale; its features are upsampled, not the hard mask.
            evidence = self.bias_net.translate(reliability)

        def join(band: Band) -> Tensor:
            return torch.cat((band.upsampled(projected, size), band.read(skip)), dim=1)

        normalise = instance_norm_of(join, skip)

        def infer(band: Band) -> Tensor:
            joined = join(band)
            if self.modulate is None or prepared is None:
                guided = activate(normalise(joined))
            else:
                guided = activate_(self.modulate.modulate(normalise(joined), band.upsampled(prepared, size)))
            fine = self.base_shortcut(joined).add_(self.base_net(guided))
            if self.bias_net is not None and evidence is not None:
                fine.add_(self.bias_net(guided, band.upsampled(evidence, size)))
            return fine

        return in_bands(infer, skip, halo=1 + (0 if self.modulate is None else self.modulate.reach))


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

    def forward(self, guided: Tensor, evidence: Tensor) -> Tensor:
        """Features (B, 2C, H, W) and F(M), upsampled to (B, R, H, W) → (B, C, H, W)."""
        # A convolution of the two joined is the sum of one of each, which spares training a copy of the features.
        of_features, of_evidence = torch.split(self.correct.weight, [guided.shape[1], evidence.shape[1]], dim=1)
        corrected = F.conv2d(guided, of_features, self.correct.bias, padding=1)
        corrected.add_(F.conv2d(evidence, of_evidence, padding=1))
        return self.expand(activate_(corrected))
