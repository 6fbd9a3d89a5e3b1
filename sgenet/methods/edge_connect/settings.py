"""What a recipe may say of EdgeConnect."""

from __future__ import annotations

from dataclasses import dataclass, field

from sgenet.ranges import BelowOne, Count, Positive, PositiveInt, Share, Weight
from sgenet.settings import OptimizerSettings, Strict


@dataclass(frozen=True, kw_only=True)
class EdgeConnectOptimizer(OptimizerSettings):
    """The published optimizer of EdgeConnect: a tenth of the learning rate for the discriminator. The EMA is *ours*."""

    generator_lr: Positive = 1e-4
    discriminator_lr: Positive = 1e-5
    betas: tuple[BelowOne, BelowOne] = (0.0, 0.9)
    clip_norm: Weight = 0.0
    decay_from: Share = 1.0


@dataclass(frozen=True, kw_only=True)
class EdgeConnectSettings(Strict):
    """EdgeConnect (Nazeri et al., ICCV workshops 2019), as published; the batch is the recipe's (published: 8).

    Attributes:
        width: channels after the first convolution of both stages.
        num_blocks: residual blocks of each stage.
        discriminator_width: channels of the first convolution of both discriminators.
        sigma: of the Gaussian of the Canny edges, in pixels.
        true_edges_until: share of the training's budget during which the image stage paints along true edges, as
            published; then along those that the edge stage draws. The share is *ours* (published: until the losses
            stand still).
        edge_adversarial: weight of the edge stage's adversarial term; positive, as it is what draws edges.
        edge_feature_matching: weight of the edge stage's feature matching.
        reconstruction: weight of the L1 term.
        adversarial: weight of the image stage's adversarial term.
        perceptual: weight of the VGG-19 activations. VGG-19 is left out where this and ``style`` are 0.
        style: weight of their Gram matrices.
        perceptual_weights: of VGG-19, as :attr:`sgenet.settings.LossSettings.perceptual_weights`.
        optimizer: of this method, in place of the recipe's.
    """

    width: PositiveInt = 64
    num_blocks: Count = 8
    discriminator_width: PositiveInt = 64
    sigma: Positive = 2.0
    true_edges_until: Share = 0.5
    edge_adversarial: Positive = 1.0
    edge_feature_matching: Weight = 10.0
    reconstruction: Weight = 1.0
    adversarial: Weight = 0.1
    perceptual: Weight = 0.1
    style: Weight = 250.0
    perceptual_weights: str = "imagenet"
    optimizer: EdgeConnectOptimizer = field(default_factory=EdgeConnectOptimizer)
