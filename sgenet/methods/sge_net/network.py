"""The generator of SGE-Net, SG-Net and Base-Net: coarse to fine, segmentation and filling in turn (Fig. 2, 3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sgenet.batch import FEATURE_SCALE, Prediction
from sgenet.checks import check_inputs, check_shape
from sgenet.layers.convolution import ResidualBlock, activate, activate_, conv3x3
from sgenet.layers.membrane import membrane
from sgenet.methods.sge_net.confidence import confidence_map, input_reliability, reliability_mask
from sgenet.methods.sge_net.context import build_context
from sgenet.methods.sge_net.guidance import InferenceStep
from sgenet.settings import NUM_SCALES, NetworkSettings

STRIDE = 2 ** (NUM_SCALES - 1)
"""Heights and widths must be divisible by this."""

_SMALLEST_PROBABILITY = 1e-12
_CERTAIN = 1 - 1e-6


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
        self.start = settings.start
        self.guided = guided
        self.evaluated = evaluated
        self.encoder = Encoder(widths, settings.encoder_blocks)
        self.context = build_context(settings)
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
        if self.start == "membrane":
            # The first filling is the membrane itself; what is learnt is the difference.
            for parameter in self.image_heads.parameters():
                nn.init.zeros_(parameter)

    def forward(self, image: Tensor, hole_mask: Tensor, guide: Tensor | None = None) -> Prediction:
        """Fill the hole.

        Args:
            image: (B, 3, H, W) in [-1, 1], H and W divisible by 16; what lies in the hole is not seen.
            hole_mask: (B, 1, H, W), 1 = missing.
            guide: (B, H, W) int64, a segmentation to be guided by in place of the network's own; where
                it holds no class id (255), the network decides. See :func:`guide_logits`.

        Returns:
            Images, label logits (the guided ones, where there is a guide) and (SGE-Net) reliability
            masks at scales 0 … 4.

        Raises:
            ValueError: a shape does not fit, or there is a guide for a network without guidance.
        """
        sizes = check_inputs(image, hole_mask, STRIDE)
        if guide is not None:
            check_shape(guide, "B H W", "guide", **sizes)
            if not self.guided:
                raise ValueError("Base-Net's segmentation guides nothing, so that it takes no guide")
        start = membrane(image, hole_mask) if self.start == "membrane" else torch.where(hole_mask > 0.5, 0.0, image)
        skips = self.encoder(start, hole_mask)

        # Coarse to fine; reversed in the end, so that entry l is of scale l.
        images: list[Tensor] = []
        logits: list[Tensor] = []
        own_logits: list[Tensor] = []
        reliability: list[Tensor] = []
        features_for_texture = None
        features = self.context(skips.pop())
        for scale in reversed(range(NUM_SCALES)):
            activated = activate(features)
            if scale == FEATURE_SCALE:
                features_for_texture = activated
            images.append(self._image(scale, self.image_heads[scale](activated).float(), start))
            logits.append(self.label_heads[scale](activated).float())
            if guide is not None:
                own_logits.append(logits[-1])
                logits[-1] = guide_logits(logits[-1], guide, scale)
            probabilities = F.softmax(logits[-1], dim=1)
            if self.evaluated:
                reliability.append(self._reliability(scale, probabilities, hole_mask, given=guide is not None))
            if scale > 0:
                mask = reliability[-1] if self.evaluated else None
                features = self.steps[scale - 1](features, skips.pop(), probabilities, mask)
        return Prediction(
            images=tuple(reversed(images)),
            label_logits=tuple(reversed(logits)),
            reliability=tuple(reversed(reliability)),
            features=features_for_texture,
            own_logits=tuple(reversed(own_logits)),
        )

    def _image(self, scale: int, drawn: Tensor, start: Tensor) -> Tensor:
        """Ŷ^l from what the image head draws."""
        if self.start == "membrane":
            return (F.avg_pool2d(start, 2**scale) + drawn).clamp(-1, 1)
        return torch.tanh(drawn)

    def _reliability(self, scale: int, probabilities: Tensor, hole_mask: Tensor, *, given: bool) -> Tensor:
        """M^l. Pixels whose class is given are always reliable: the rule cannot rank equal confidences."""
        if scale == NUM_SCALES - 1:
            return input_reliability(hole_mask, STRIDE)
        mask = reliability_mask(probabilities, self.tau.rule, self.tau.ratios[scale])
        return torch.where(confidence_map(probabilities) > _CERTAIN, 1.0, mask) if given else mask


class Encoder(nn.Module):
    """Features ϕ^0 … ϕ^4 of the corrupted image, from channels and numbers of residual blocks at these scales."""

    def __init__(self, widths: Sequence[int], num_blocks: Sequence[int]) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        in_channels = 4
        for scale, (width, blocks) in enumerate(zip(widths, num_blocks, strict=True)):
            convolution = conv3x3(in_channels, width, stride=1 if scale == 0 else 2)
            stages.append(nn.Sequential(convolution, *(ResidualBlock(width) for _ in range(blocks))))
            in_channels = width
        self.stages = nn.ModuleList(stages)

    def forward(self, corrupted: Tensor, hole_mask: Tensor) -> list[Tensor]:
        """ϕ^0 … ϕ^4, entry l of shape (B, widths[l], H/2^l, W/2^l), of an image whose hole is 0 or the membrane."""
        features: list[Tensor] = []
        x = torch.cat((corrupted, hole_mask), dim=1)
        for stage in self.stages:
            x = activate_(stage(x))
            features.append(x)
        return features


def guide_logits(logits: Tensor, guide: Tensor, scale: int) -> Tensor:
    """Put given classes in the place of predicted ones.

    A coarse pixel under which several classes are given gets their mixture, by area; where the guide
    is silent under a part of it, that part keeps the network's own probabilities.

    Args:
        logits: (B, K, H/2^l, W/2^l) before the softmax.
        guide: (B, H, W) int64; what is no class id from 0 to K - 1, such as 255, says nothing.
        scale: l.

    Returns:
        Logits of the same shape whose softmax is the mixture; untouched where nothing is given.
    """
    classes = torch.arange(logits.shape[1], device=guide.device)
    one_hot = (guide[:, None] == classes[None, :, None, None]).to(logits.dtype)
    given = F.avg_pool2d(one_hot, 2**scale)
    own_share = 1 - given.sum(dim=1, keepdim=True)
    mixture = given + own_share * F.softmax(logits, dim=1)
    return torch.where(own_share < 1, mixture.clamp(min=_SMALLEST_PROBABILITY).log(), logits)
