"""What a recipe may say of LaMa."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Interval

from sgenet.ranges import BelowOne, Positive, PositiveInt, Share, Weight
from sgenet.settings import OptimizerSettings, Strict


@dataclass(frozen=True, kw_only=True)
class LamaOptimizer(OptimizerSettings):
    """The published optimizer of LaMa: Adam at constant learning rates; no EMA, since batch statistics would not fit
    averaged weights."""

    generator_lr: Positive = 1e-3
    discriminator_lr: Positive = 1e-4
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.999)
    clip_norm: Weight = 0.0
    decay_from: Share = 1.0
    ema_decay: BelowOne = 0.0


@dataclass(frozen=True, kw_only=True)
class LamaSettings(Strict):
    """LaMa-Fourier (Suvorov et al., WACV 2022), as published but for its perceptual term; the batch is the recipe's.

    Attributes:
        width: channels after the first convolution; 8 times as many in the blocks.
        num_blocks: Fourier residual blocks (published: 9, in the large model 18).
        global_share: share of the blocks' channels that the spectrum is taken of.
        discriminator_width: channels of the discriminator's first convolution.
        reconstruction: weight of the L1 term, on known pixels alone.
        adversarial: weight of the non-saturating term.
        r1: weight of the gradient penalty on real images.
        feature_matching: weight of the discriminator's feature matching.
        perceptual: weight of the distance of VGG-16's activations (*ours*; published: a dilated ResNet-50 trained for
            segmentation, whose weights are not torchvision's). 0 leaves VGG-16 out.
        perceptual_weights: of VGG-16, as :attr:`sgenet.settings.LossSettings.perceptual_weights`.
        optimizer: of this method, in place of the recipe's.
    """

    width: PositiveInt = 64
    num_blocks: PositiveInt = 9
    global_share: Annotated[float, Interval(gt=0, lt=1)] = 0.75
    discriminator_width: PositiveInt = 64
    reconstruction: Weight = 10.0
    adversarial: Weight = 10.0
    r1: Weight = 0.001
    feature_matching: Weight = 100.0
    perceptual: Weight = 30.0
    perceptual_weights: str = "imagenet"
    optimizer: LamaOptimizer = field(default_factory=LamaOptimizer)
