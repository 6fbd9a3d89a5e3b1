"""What a recipe may say of GatedConv."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Gt, MultipleOf

from sgenet.ranges import BelowOne, Positive, PositiveInt, Share, Weight
from sgenet.settings import OptimizerSettings, Strict


@dataclass(frozen=True, kw_only=True)
class GatedConvOptimizer(OptimizerSettings):
    """The published optimizer of DeepFill v2: a constant learning rate, nothing clipped. The EMA is *ours*."""

    generator_lr: Positive = 1e-4
    discriminator_lr: Positive = 1e-4
    betas: tuple[BelowOne, BelowOne] = (0.5, 0.999)
    clip_norm: Weight = 0.0
    decay_from: Share = 1.0


@dataclass(frozen=True, kw_only=True)
class GatedConvSettings(Strict):
    """GatedConv, DeepFill v2 (Yu et al., ICCV 2019), as published; the batch is the recipe's (published: 16).

    Attributes:
        width: c of the layer table, a multiple of 4.
        discriminator_width: channels of the discriminator's first convolution.
        reconstruction: weight of the L1 terms of the coarse and of the refined image.
        adversarial: weight of the hinge term.
        optimizer: of this method, in place of the recipe's.
    """

    width: Annotated[int, Gt(0), MultipleOf(4)] = 48
    discriminator_width: PositiveInt = 64
    reconstruction: Weight = 1.0
    adversarial: Weight = 1.0
    optimizer: GatedConvOptimizer = field(default_factory=GatedConvOptimizer)
