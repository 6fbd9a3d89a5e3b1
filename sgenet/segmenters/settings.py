"""Typed settings of segmenters and of their fitting: plain dataclasses, checked where they are parsed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Gt

from sgenet.ranges import BelowOne, Count, Positive, PositiveInt, Share
from sgenet.settings import AugmentationSettings, OptimizerSettings, Strict, TrainingSettings

# Read by pydantic where the platform parses a settings file; unknown keys are refused.
SegmenterName = Literal["deep_parsing", "deeplab_v3_plus", "transformers"]


@dataclass(frozen=True, kw_only=True)
class DeepParsingSettings(Strict):
    """Deep Parsing Network (Liu et al. 2015), as published.

    Attributes:
        width: channels of VGG-16's first block; the ImageNet weights have 64.
        context_width: channels of the two layers that were fully connected in VGG-16. With another number than
            4,096 these two start from random weights, and only the convolutions have ImageNet's weights.
        local_window: side of the local convolution (published: 50; odd here, so that it has a middle).
        context_window: side of the convolution of label contexts.
        num_contexts: components of the mixture of label contexts.
        weights: of the VGG-16: ``none``, ``imagenet`` (torchvision's download), or the path of a state file.
    """

    width: PositiveInt = 64
    context_width: PositiveInt = 4096
    local_window: Annotated[int, Gt(1)] = 51
    context_window: PositiveInt = 9
    num_contexts: PositiveInt = 5
    weights: str = "none"


@dataclass(frozen=True, kw_only=True)
class DeepLabSettings(Strict):
    """DeepLab v3+ of segmentation-models-pytorch.

    Attributes:
        encoder: a name of that library.
        weights: of the encoder: ``none``, ``imagenet`` (the library's download), or the path of a state file
            (``.safetensors``, or PyTorch's).
    """

    encoder: str = "resnet34"
    weights: str = "none"


@dataclass(frozen=True, kw_only=True)
class SegmenterOptimizer(OptimizerSettings):
    """Adam with a learning rate that falls from the start, as is usual for segmentation. There is no discriminator."""

    generator_lr: Positive = 3e-4
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.999)
    warmup_steps: Count = 100
    decay_from: Share = 0.0
    ema_decay: BelowOne = 0.998


@dataclass(frozen=True, kw_only=True)
class SegmenterRecipe(Strict):
    """Everything that decides how a segmenter is fitted, apart from the data.

    Attributes:
        deep_parsing, deeplab: the networks.
        class_balance: how much rare classes count: class c weighs (share of c) to the power of minus this; 0 counts
            every pixel alike, 1 every class.
        optimizer, augmentation, training: as of an inpainting method.
    """

    deep_parsing: DeepParsingSettings = field(default_factory=DeepParsingSettings)
    deeplab: DeepLabSettings = field(default_factory=DeepLabSettings)
    class_balance: Share = 0.5
    optimizer: SegmenterOptimizer = field(default_factory=SegmenterOptimizer)
    augmentation: AugmentationSettings = field(
        default_factory=lambda: AugmentationSettings(min_scale=0.5, colour_jitter=0.2)
    )
    training: TrainingSettings = field(default_factory=lambda: TrainingSettings(steps=20_000))
