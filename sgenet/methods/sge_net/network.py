"""The generator of SGE-Net, SG-Net and Base-Net: coarse to fine, segmentation and filling in turn (Fig. 2, 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgenet.batch import Prediction
from sgenet.checks import check_shape
from sgenet.layers.convolution import activate, conv3x3
from sgenet.methods.sge_net.confidence import input_reliability, reliability_mask
from sgenet.methods.sge_net.context import build_context
from sgenet.methods.sge_net.encoder import Encoder
from sgenet.methods.sge_net.guidance import InferenceStep
from sgenet.settings import NUM_SCALES, NetworkSettings

STRIDE = 2 ** (NUM_SCALES - 1)
"""Heights and widths must be divisible by this."""


class SGEGenerator(nn.Module):
    """Fills the hole and segments the scene at five scales.

    Args:
        num_classes: K.
        settings: widths and blocks.
        guided: SGIM, the segmentation guides the next scale (SG-Net, SGE-Net).
        evaluated: SCEM and SGIM+, the confidence says what to redo (SGE-Net).
    """

    def __init__(self, num_classes: int, settings: NetworkSettings, *, guided: bool, evaluated: bool) -> None:
        super().__init__()
        if evaluated and not guided:
            raise ValueError("confidence evaluation (SCEM) builds on semantic guidance (SGIM)")
        widths = settings.widths
        self.tau = settings.tau
        self.evaluated = evaluated
        self.encoder = Encoder(widths, settings.encoder_blocks)
        self.context = build_context(settings.context, widths[-1], settings.context_blocks, settings.image_size)
        self.steps = nn.ModuleList(
            InferenceStep(
                widths[scale + 1],
                widths[scale],
                num_classes,
                settings.decoder_blocks[scale],
                guided=guided,
                evaluated=evaluated,
                settings=settings,
            )
            for scale in range(NUM_SCALES - 1)
        )
        self.image_heads = nn.ModuleList(conv3x3(width, 3) for width in widths)
        self.label_heads = nn.ModuleList(conv3x3(width, num_classes) for width in widths)

    def forward(self, image: Tensor, hole_mask: Tensor) -> Prediction:
        """Fill the hole.

        Args:
            image: (B, 3, H, W) in [-1, 1], H and W divisible by 16; what lies in the hole is not seen.
            hole_mask: (B, 1, H, W), 1 = missing.

        Returns:
            Pictures, label logits and (SGE-Net) reliability masks at scales 0 … 4.
        """
        sizes = check_shape(image, "B 3 H W", "image")
        check_shape(hole_mask, "B 1 H W", "hole_mask", **sizes)
        if sizes["H"] % STRIDE or sizes["W"] % STRIDE:
            raise ValueError(f"height and width must be divisible by {STRIDE}, found {sizes['H']}×{sizes['W']}")
        skips = self.encoder(torch.where(hole_mask > 0.5, 0.0, image), hole_mask)

        images: dict[int, Tensor] = {}
        logits: dict[int, Tensor] = {}
        reliability: dict[int, Tensor] = {}
        features = self.context(skips[-1])
        for scale in reversed(range(NUM_SCALES)):
            images[scale] = torch.tanh(self.image_heads[scale](activate(features)).float())
            logits[scale] = self.label_heads[scale](activate(features)).float()
            probabilities = F.softmax(logits[scale], dim=1)
            if self.evaluated:
                reliability[scale] = self._reliability(scale, probabilities, hole_mask)
            if scale > 0:
                step = self.steps[scale - 1]
                features = step(features, skips[scale - 1], probabilities, reliability.get(scale))
        return Prediction(images=_by_scale(images), label_logits=_by_scale(logits), reliability=_by_scale(reliability))

    def _reliability(self, scale: int, probabilities: Tensor, hole_mask: Tensor) -> Tensor:
        if scale == NUM_SCALES - 1:
            return input_reliability(hole_mask, (probabilities.shape[2], probabilities.shape[3]))
        return reliability_mask(probabilities, self.tau.rule, self.tau.ratios[scale])


def _by_scale(values: dict[int, Tensor]) -> tuple[Tensor, ...]:
    return tuple(values[scale] for scale in sorted(values))
