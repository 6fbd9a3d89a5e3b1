"""Typed settings of the method: what a recipe may say. Plain dataclasses; the parser checks
values against the ranges of their types.

Values the paper leaves open are marked *ours*; ``docs/paper-map.md`` lists them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Interval, MinLen

from sgenet.ranges import BelowOne, Count, Positive, PositiveInt, Share, Weight

Precision = Literal["float32", "bfloat16"]
PrecisionSetting = Literal["auto", "float32", "bfloat16"]

NUM_SCALES = 5
"""Scales l = 0 (full size) … 4 (1/16), as in Fig. 6 and Eq. 10."""

Scale = Annotated[int, Interval(ge=0, lt=NUM_SCALES)]


class Strict:
    """Settings whose unknown keys are refused where pydantic, which the platform parses a settings file with, meets
    them."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}


@dataclass(frozen=True, kw_only=True)
class HoleSettings(Strict):
    """One way to draw a hole, and how often it is chosen.

    Attributes:
        kind: ``centre`` (a square of ``size`` in the middle), ``rectangles`` (several at
            random), ``strokes`` (DeepFill v2 brush strokes), ``thin``/``medium``/``thick`` (LaMa),
            ``files`` (images in ``path``).
        weight: how often this kind is drawn, relative to the other kinds of the list.
        size: side of the centre square in pixels.
        path: folder of mask images, for ``files``.
        white_is_hole: polarity of the mask images, for ``files``.
    """

    kind: Literal["centre", "rectangles", "strokes", "thin", "medium", "thick", "files"]
    weight: float = 1.0
    size: int | None = None
    path: str | None = None
    white_is_hole: bool = True


@dataclass(frozen=True, kw_only=True)
class AugmentationSettings(Strict):
    """How a training image is varied. One geometry draw serves image, label and hole.

    Attributes:
        flip: mirror left–right with probability ½ (not stated in the paper; *ours*).
        min_scale: 1 means a plain random crop of the crop's size, as in the paper. Below 1, a
            square is cut whose side is drawn uniformly between this share of the largest square
            that fits (or the crop's side, if that is longer) and all of it, then resized to the crop.
        colour_jitter: largest relative change of brightness, contrast and saturation.
    """

    flip: bool = True
    min_scale: Annotated[float, Interval(gt=0, le=1)] = 1.0
    colour_jitter: BelowOne = 0.0


@dataclass(frozen=True, kw_only=True)
class TauSettings(Strict):
    """How the threshold τ^l of Eq. 4 follows from the confidences of an image.

    Attributes:
        rule: ``quantile``: τ^l is the value at proportion r^l of the image's sorted confidences;
            ``fraction_of_max``: τ^l = r^l × the image's largest confidence.
        ratios: r^l for l = 0 … 3; at l = 4 the reliability map is the input mask (Fig. 7).
    """

    rule: Literal["quantile", "fraction_of_max"] = "quantile"
    ratios: tuple[Share, Share, Share, Share] = (0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(Strict):
    """Sizes of Base-Net, SG-Net and SGE-Net; the same widths serve all three.

    Attributes:
        widths: channels at scales 0 … 4.
        context: the Context Inference Module at 1/16: ``channel_fc`` (Context Encoders),
            ``dilated`` residual blocks, or ``fourier`` convolutions.
        context_blocks: how many blocks it has.
        context_dilations: of the ``dilated`` blocks, in turn; by default those of 1, 2, 4 and 8 that are at most half
            the side of the map at 1/16, since of a wider kernel the outer taps would see next to nothing but padding.
        encoder_blocks: residual blocks of the encoder at each scale 0 … 4.
        decoder_blocks: residual blocks after the sum of Eq. 6 at the decoder's scales 0 … 3 (*ours*).
        modulation_width: hidden channels of the (γ, β) convolutions (SPADE: 128).
        modulation_at: ``coarse`` (*ours*) computes γ and β at scale l and upsamples them; ``fine`` upsamples
            Ŝ^l first, as SPADE does, four times the work.
        bias_width_ratio: width of the bias-net F_bi relative to the scale's width.
        reliability_width: channels of F(M^l) in Eq. 6.
        tau: the rule of Eq. 4.
        start: what the encoder sees in the hole: ``grey`` (0), as in the paper, or ``membrane`` (*ours*): the
            smoothest surface through the known pixels, and every Ŷ^l is that surface plus what the network draws.
        image_size: side of the training crop, which a released model works at; ``channel_fc`` is made for it alone.
    """

    widths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (64, 128, 256, 512, 512)
    context: Literal["channel_fc", "dilated", "fourier"] = "dilated"
    context_blocks: Count = 9
    context_dilations: Annotated[tuple[PositiveInt, ...], MinLen(1)] | None = None
    encoder_blocks: tuple[Count, Count, Count, Count, Count] = (0, 0, 1, 1, 1)
    decoder_blocks: tuple[Count, Count, Count, Count] = (1, 1, 1, 1)
    modulation_width: PositiveInt = 128
    modulation_at: Literal["fine", "coarse"] = "coarse"
    bias_width_ratio: Positive = 1.0
    reliability_width: PositiveInt = 16
    tau: TauSettings = field(default_factory=TauSettings)
    start: Literal["grey", "membrane"] = "grey"
    image_size: int = 256


@dataclass(frozen=True, kw_only=True)
class GuidanceSettings(Strict):
    """How SG-Net and SGE-Net learn to obey a segmentation that they are given (*ours*; not stated in the paper).

    Trained on their own segmentation alone, they are blind to another one. Scales above 4 of a guided sample are left
    out of the cross-entropy: what is given there is nothing to learn.

    Attributes:
        given: share of the training samples whose true labels take the place of the predicted ones. 1: all, everywhere
            (the upper bound of Fig. 1(e)); such a network needs labels to fill. Below 1, half of these samples are
            guided in the hole alone.
        transplanted: share of the samples, besides ``given``, whose hole shows another part of the same image and is
            guided by that part's label.
    """

    given: Share = 0.0
    transplanted: Share = 0.0


@dataclass(frozen=True, kw_only=True)
class DiscriminatorSettings(Strict):
    """The three-scale PatchGAN discriminator of Eq. 8.

    Attributes:
        width: channels of its first convolution.
        num_layers: stride-2 convolutions of each scale's discriminator.
        num_scales: image scales 1, 1/2, 1/4 …
        spectral_norm: normalise the weights (Miyato et al. 2018; *ours*, as in SPADE).
    """

    width: PositiveInt = 64
    num_layers: PositiveInt = 3
    num_scales: PositiveInt = 3
    spectral_norm: bool = True

    @property
    def smallest_image(self) -> int:
        """The smallest height and width, in pixels, that every scale can judge."""
        # Every scale but the first and every layer of stride 2 halves, and two more kernels take one pixel each.
        return int(3 * 2 ** (self.num_scales - 1 + self.num_layers))


@dataclass(frozen=True, kw_only=True)
class LossSettings(Strict):
    """Weights and kinds of the terms of Eq. 7 to 10. The paper gives no values; all are *ours*.

    Attributes:
        reconstruction: weight of the L1 term at every scale (1 in Eq. 7).
        hole_weight: extra weight of pixels in the hole in the L1 term (0 in Eq. 7).
        psnr: weight of minus the PSNR in the hole, in dB, of the inpainted image (0, as in the paper: none).
        structural: weight of 1 - SSIM of the inpainted image (0, as in the paper: none).
        perceptual: λ_p. 0 leaves VGG-16 out of the step altogether.
        perceptual_weights: ``imagenet`` (torchvision's download), ``random`` (offline; the run
            says so), or the path of a VGG-16 state file.
        perceptual_scales: the scales at which the VGG term is taken (all of them in Eq. 7).
        adversarial: λ_α.
        adversarial_kind: ``bce`` (Eq. 8), ``hinge`` or ``lsgan``.
        r1: weight of the R1 gradient penalty on real images (0: none).
        feature_matching: weight of the discriminator's feature matching term (0: none).
        segmentation: λ_s.
        segmentation_hole_weight: extra weight of pixels in the hole in the cross-entropy (0 in Eq. 9).
        segmentation_class_balance: how much rare classes count in the cross-entropy: class c weighs (its share of the
            batch's labelled pixels) to the power of minus this; 0, as in Eq. 9, counts pixels alike, 1 classes.
    """

    reconstruction: Weight = 1.0
    hole_weight: Weight = 0.0
    psnr: Weight = 0.0
    structural: Weight = 0.0
    perceptual: Weight = 0.1
    perceptual_weights: str = "imagenet"
    perceptual_scales: tuple[Scale, ...] = (0, 1, 2, 3, 4)
    adversarial: Weight = 0.01
    adversarial_kind: Literal["bce", "hinge", "lsgan"] = "hinge"
    r1: Weight = 0.0
    feature_matching: Weight = 0.0
    segmentation: Weight = 0.1
    segmentation_hole_weight: Weight = 0.0
    segmentation_class_balance: Share = 0.0


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings(Strict):
    """Adam for generator and discriminator (Kingma & Ba 2015), with a schedule. *Ours*: SPADE's and SGINet's values.

    Attributes:
        generator_lr, discriminator_lr: learning rates after the warm-up.
        betas: Adam's β₁ and β₂.
        clip_norm: largest norm of a gradient, per network; 0 means no clipping.
        warmup_steps: the learning rate rises linearly over these steps.
        decay_from: share of the training's budget after which the learning rate falls linearly to 0; 1 means never.
        ema_decay: decay of the generator's moving average, which is what is evaluated and released. In step n it is at
            most (1 + n) / (10 + n), which makes the average n / 10 steps old: with 0.999 up to step 8,990, with 0.998
            up to step 4,490.
    """

    generator_lr: Positive = 2e-4
    discriminator_lr: Positive = 2e-4
    betas: tuple[BelowOne, BelowOne] = (0.5, 0.99)
    clip_norm: Weight = 1.0
    warmup_steps: Count = 0
    decay_from: Share = 0.5
    ema_decay: BelowOne = 0.999


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Strict):
    """How long, how fast and how often.

    Methods compare fairly at equal budgets, of either kind. With a wall-clock budget the number of steps, and with
    it every bit of the result, depends on the machine and on what else it does: such a training
    cannot be repeated to the bit.

    Attributes:
        budget: what ends a training: ``steps``, or ``wall_clock``, which ends it with the first step
            after ``seconds`` are used. The decay of the learning rates follows the same budget.
        steps: optimizer steps of the generator; not looked at with a wall-clock budget.
        seconds: of training, waiting for data included, validation and checkpoints not; for a
            wall-clock budget alone.
        batch_size: the **global** batch; workers only divide it.
        seed: everything random follows from it.
        window_gigabytes: of shards that are shuffled together. Larger data are read window by window, each
            epoch with other shards in a window, so that of data on S3 a node needs two windows on its disk
            (``run.cache.gigabytes``). Data that fit into one window are shuffled as a whole.
        precision: ``float32``, ``bfloat16`` (autocast), or ``auto``: bfloat16 where all workers' devices have it in
            hardware when the training starts, else float32. A resumed training keeps what it started with.
        deterministic: kernels that repeat to the bit, so that a killed training resumes to the same result. null: on
            the CPU, where that costs nothing; on CUDA the fastest kernels, whose sums may differ in the last bits.
        compile: run the generator through ``torch.compile`` on CUDA, which needs a C compiler and takes minutes at the
            start; on the CPU it stays as it is.
        gradient_exchange: the precision in which workers exchange their gradients; ``bfloat16`` halves the traffic.
        loader_processes: decoding processes of each worker; 0 decodes in the training process.
        log_every, checkpoint_every, validate_every: in steps; 0 never (the end always counts).
        keep_checkpoints: how many of the newest checkpoints stay.
        num_sample_images: validation images logged at each validation.
    """

    budget: Literal["steps", "wall_clock"] = "steps"
    steps: PositiveInt = 100_000
    seconds: float = 0.0
    batch_size: PositiveInt = 8
    seed: int = 1
    window_gigabytes: Positive = 40.0
    precision: PrecisionSetting = "auto"
    deterministic: bool | None = None
    compile: bool = False
    gradient_exchange: Precision = "float32"
    loader_processes: Count = 2
    log_every: Count = 50
    checkpoint_every: Count = 1000
    validate_every: Count = 1000
    keep_checkpoints: PositiveInt = 3
    num_sample_images: Count = 6


@dataclass(frozen=True, kw_only=True)
class BaseRecipe(Strict):
    """Everything that decides how a method is trained, apart from the data.

    :class:`sgenet.methods.recipe.Recipe` adds the sections of the methods that have one.

    Attributes:
        network, discriminator, losses, guidance, optimizer: of Base-Net, SG-Net and SGE-Net.
        augmentation, training: of all methods.
        start_from: a released model whose weights the generator starts with, as far as they fit: a folder, ``shipped``,
            ``models:/NAME/VERSION``, ``runs:/ID``; ``none``: from nothing. Its classes and sizes may be others.
    """

    network: NetworkSettings = field(default_factory=NetworkSettings)
    discriminator: DiscriminatorSettings = field(default_factory=DiscriminatorSettings)
    losses: LossSettings = field(default_factory=LossSettings)
    guidance: GuidanceSettings = field(default_factory=GuidanceSettings)
    optimizer: OptimizerSettings = field(default_factory=OptimizerSettings)
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    start_from: str = "none"
