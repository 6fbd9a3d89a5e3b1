"""What a recipe may say of SPG-Net."""

from __future__ import annotations

from dataclasses import dataclass, field

from sgenet.ranges import BelowOne, Count, Positive, PositiveInt, Share, Weight
from sgenet.settings import DiscriminatorSettings, OptimizerSettings, Strict


@dataclass(frozen=True, kw_only=True)
class SPGNetOptimizer(OptimizerSettings):
    """The published optimizer of SPG-Net: four times the learning rate for the discriminator. The EMA is *ours*."""

    generator_lr: Positive = 1e-4
    discriminator_lr: Positive = 4e-4
    betas: tuple[BelowOne, BelowOne] = (0.0, 0.9)
    clip_norm: Weight = 0.0
    decay_from: Share = 1.0


@dataclass(frozen=True, kw_only=True)
class SPGNetSettings(Strict):
    """SPG-Net (Song et al., BMVC 2018), as published but for what is marked *ours*; the batch is the recipe's.

    Attributes:
        width: channels after the first convolution of SP-Net and SG-Net.
        num_blocks: residual blocks of each.
        segmenter_width: channels at full size of the network that labels the known part where no label map
            is given (*ours*; theirs is DeepLab).
        discriminator: of label maps and of images.
        label_adversarial: weight of SP-Net's hinge term; positive, as it is what draws label maps.
        label_feature_matching: weight of SP-Net's feature matching.
        segmentation: weight of the cross-entropy of SP-Net's label map (*ours*; published: none).
        adversarial: weight of SG-Net's hinge term; positive.
        feature_matching: weight of SG-Net's feature matching.
        perceptual: weight of the VGG-19 activations; 0 leaves VGG-19 out.
        perceptual_weights: of VGG-19, as :attr:`sgenet.settings.LossSettings.perceptual_weights`.
        reconstruction: weight of the L1 term (*ours*; published: none).
        optimizer: of this method, in place of the recipe's.
    """

    width: PositiveInt = 64
    num_blocks: Count = 9
    segmenter_width: PositiveInt = 32
    discriminator: DiscriminatorSettings = field(default_factory=DiscriminatorSettings)
    label_adversarial: Positive = 1.0
    label_feature_matching: Weight = 1.0
    segmentation: Weight = 0.0
    adversarial: Positive = 1.0
    feature_matching: Weight = 1.0
    perceptual: Weight = 10.0
    perceptual_weights: str = "imagenet"
    reconstruction: Weight = 0.0
    optimizer: SPGNetOptimizer = field(default_factory=SPGNetOptimizer)
