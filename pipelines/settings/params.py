"""What ``params.yaml`` may say, as types."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Discriminator, Field, Tag

from pipelines.settings.labels import LabelSettings
from pipelines.settings.sources import AnySource
from pipelines.settings.strict import Strict
from pipelines.settings.titles import BaselineName
from sgenet import label_space
from sgenet.label_space import LabelSpace
from sgenet.methods.recipe import Recipe
from sgenet.methods.registry import METHODS
from sgenet.settings import HoleSettings, Precision

if TYPE_CHECKING:
    MethodName = str
else:
    MethodName = Literal[tuple(METHODS)]

LABEL_SPACES: dict[str, LabelSpace] = {
    "outdoor_scenes": label_space.OUTDOOR_SCENES,
    "cityscapes": label_space.CITYSCAPES,
    "camvid": label_space.CAMVID,
    "stanford_background": label_space.STANFORD_BACKGROUND,
}


class LabelSpaceSettings(Strict):
    """A label space of the user's own.

    Attributes:
        names: of the classes, in the order of their ids.
        colours: of the classes in figures, RGB from 0 to 255; chosen where none are given.
    """

    names: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...] = ()


class DataSettings(Strict):
    """How raw images of one dataset become shards.

    Attributes:
        sources: joined in this order; keys are prefixed by the source's name when there are several.
        label_space: a known one by name, or names and colours.
        shorter_side: images are resized so that their shorter side has this many pixels.
        train_shorter_side: the same for the training split alone (None: as ``shorter_side``).
        crop: side of the square the networks see.
        samples_per_shard: most samples in one shard.
        jpeg_decoding: of raw JPEGs: ``full``, or ``scaled``: at 1/2, 1/4 or 1/8 of their size where that is no smaller
            than what is stored, which is faster and less exact (docs/performance.md).
        jpeg_quality: of the training split; evaluation splits are stored losslessly.
        max_quarantine_ratio: the stage fails when a larger share of the inputs is unusable.
        allow_ignored_labels: do not fail if every pixel of the labels is 255 (ignore). It does not change the shards.
    """

    sources: tuple[AnySource, ...] = Field(min_length=1)
    label_space: str | LabelSpaceSettings
    shorter_side: int = Field(gt=0)
    train_shorter_side: int | None = Field(default=None, gt=0)
    crop: int = Field(gt=0)
    samples_per_shard: int = Field(default=256, gt=0)
    jpeg_decoding: Literal["full", "scaled"] = "full"
    jpeg_quality: int = Field(default=95, ge=1, le=100)
    max_quarantine_ratio: float = Field(default=0.0, ge=0, le=1)
    allow_ignored_labels: bool = Field(default=False, exclude=True)

    @property
    def labels(self) -> LabelSpace:
        """The label space itself."""
        if isinstance(self.label_space, str):
            return LABEL_SPACES[self.label_space]
        return LabelSpace(self.label_space.names, self.label_space.colours)

    def side(self, split: str) -> int:
        """The shorter side of a split's images, in pixels."""
        return (self.train_shorter_side or self.shorter_side) if split == "train" else self.shorter_side


class EvaluationMaskSettings(Strict):
    """One fixed set of evaluation masks: one mask a validation image.

    Attributes:
        name: how the tables call it.
        hole: how the masks are drawn (its weight is not used).
        seed: of the draws.
    """

    name: str
    hole: HoleSettings
    seed: int = 1


class MaskSettings(Strict):
    """Holes in training (drawn afresh for every sample) and in evaluation (fixed).

    Attributes:
        training: kinds of holes; one is drawn for every sample.
        evaluation: sets of fixed masks; the first is the main one.
        ratio_bins: bounds of the shares of an image that are missing, by which scores are broken down.
    """

    training: tuple[HoleSettings, ...] = Field(min_length=1)
    evaluation: tuple[EvaluationMaskSettings, ...] = Field(min_length=1)
    ratio_bins: tuple[float, ...] = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)


class EvaluationSettings(Strict):
    """How trained models are scored.

    Attributes:
        split: the split whose images are used.
        batch_size: images at a time; no result depends on it.
        precision: in which trained methods fill: ``float32``, or ``bfloat16`` (autocast), which moves scores a little:
            models are compared at one precision alone. What scores is always float32 or finer.
        num_figure_images: images shown in the report's figures.
        num_worst_images: of each method, those with the lowest PSNR in the hole that the report shows.
        upper_bound: also score SG-Net and SGE-Net guided by the true labels: the upper bound of Fig. 1(e) after
            training with ``guidance.given: 1``, otherwise how well they follow a given segmentation.
        texture: how a trained method fills: with the output of its ``network``, as in the paper, and also with texture
            copied from the known pixels of the image (``exemplar``), which is a row of its own in the tables.
        baselines: methods without learning that go through the same evaluator.
        inception_weights: path of ``pt_inception-2015-12-05-6726825d.pth`` (pytorch-fid's release, or the same bytes
            from torch-fidelity's), for FID and KID; ``none``: they are not taken. No other file is accepted, and
            nothing is downloaded.
        lpips_weights: path of ``alexnet-owt-7be5be79.pth`` (torchvision's AlexNet), for LPIPS; else as above.
        vgg_weights: path of ``vgg16_photographs.pth``, for the VGG distance, which sees texture; else as above.
    """

    split: Literal["train", "val"] = "val"
    batch_size: int = Field(default=8, gt=0)
    precision: Precision = "float32"
    num_figure_images: int = Field(default=6, gt=0)
    num_worst_images: int = Field(default=4, ge=0)
    upper_bound: bool = True
    texture: tuple[Literal["network"]] | tuple[Literal["network"], Literal["exemplar"]] = ("network",)
    baselines: tuple[BaselineName, ...] = ("mean_colour", "telea")
    inception_weights: str = Field(default="none", min_length=1)
    lpips_weights: str = Field(default="none", min_length=1)
    vgg_weights: str = Field(default="none", min_length=1)


class CacheSettings(Strict):
    """Where a training node keeps the shards that it fetches from an ``s3://`` storage.

    Attributes:
        folder: on a local disk of the node, shared by all trainings there; ``~`` is the home folder.
        gigabytes: of shards at most. With room for two windows (``training.window_gigabytes``) and the shards that a
            training is validated on, the next window is always here before it is read; without, samples are read from
            the storage one by one.
    """

    folder: str = "~/.cache/sgenet"
    gigabytes: float = Field(default=100.0, gt=0)


class ElasticWorkers(Strict):
    """How many workers there may be at a time, as nodes come and go.

    Attributes:
        min: with fewer, training waits.
        max: more are not started.
        look_every: seconds between checks for room for more workers. Growing restarts all workers.
    """

    min: int = Field(ge=1)
    max: int = Field(ge=1)
    look_every: float = Field(default=60.0, gt=0)


def _kind_of_workers(given: object) -> str:
    return "bounds" if isinstance(given, dict | ElasticWorkers) else "number"


class RunSettings(Strict):
    """How training is launched; none of it changes what is learnt, up to float rounding, except for LaMa, whose batches
    are normalised by worker.

    Attributes:
        workers: training processes (Ray Train). 0 trains in the calling process, and so does 1 where ``RAY_ADDRESS``
            names no cluster. ``{min: …, max: …}``: as many as the cluster has room for and the global batch can be
            divided among.
        cpus_per_worker: cores a worker asks for and uses as threads; 0 means all divided evenly.
        use_gpu: one GPU a worker, NCCL between them; else Gloo on CPUs.
        max_failures: how many times a lost worker is replaced before the run fails.
        cache: for shards that lie on S3.
    """

    workers: Annotated[
        Annotated[int, Field(ge=0), Tag("number")] | Annotated[ElasticWorkers, Tag("bounds")],
        Discriminator(_kind_of_workers),
    ] = 1
    cpus_per_worker: int = Field(default=0, ge=0)
    use_gpu: bool = False
    max_failures: int = Field(default=3, ge=0)
    cache: CacheSettings = CacheSettings()

    @property
    def min_workers(self) -> int:
        """Fewer do not train."""
        return self.workers.min if isinstance(self.workers, ElasticWorkers) else self.workers

    @property
    def max_workers(self) -> int:
        """No more train at a time."""
        return self.workers.max if isinstance(self.workers, ElasticWorkers) else self.workers

    @property
    def seconds_before_growing(self) -> float:
        """How long a training runs before it takes more workers; infinite where their number is fixed."""
        return self.workers.look_every if isinstance(self.workers, ElasticWorkers) else math.inf


class TransferPair(Strict):
    """A dataset that is filled by the models of another one, such as one that nobody labelled (Fig. 10).

    Attributes:
        dataset: whose images are filled; none of ``datasets``, as nothing is trained on it.
        models_of: what the models were trained on, one of ``datasets``.
    """

    dataset: str
    models_of: str


class SearchPair(Strict):
    """A method on a dataset, to be searched for in ``dvc repro``.

    Attributes:
        dataset, method: one of ``datasets`` and one of ``methods``.
    """

    dataset: str
    method: str


class SearchSettings(Strict):
    """How the weights of the losses and the thresholds τ are searched for.

    Attributes:
        run: what ``dvc repro`` searches for; nothing by default, as a search takes many trainings.
        trials: how many are tried; the first one is the recipe as it stands, where its values lie within the bounds.
        steps: of a trial that is not stopped; schedules of the recipe are stretched over them.
        report_every: steps between two judgements of a trial, each on the validation images.
        grace_steps: no trial is stopped before (ASHA, Li et al. 2020).
        reduction_factor: one in so many trials continues past each rung.
        metric: what a trial is scored by, and the only thing that is optimised: PSNR, for one, does not reward
            perceptual or adversarial losses.
        seed: of the search.
        lambda_p, lambda_alpha, lambda_s: bounds, drawn logarithmically; one that is 0 in the recipe stays 0.
        tau: bounds of each scale's ratio, for ``sge_net``.
    """

    run: tuple[SearchPair, ...] = ()
    trials: int = Field(default=20, gt=0)
    steps: int = Field(default=2000, gt=0)
    report_every: int = Field(default=250, gt=0)
    grace_steps: int = Field(default=500, gt=0)
    reduction_factor: int = Field(default=3, gt=1)
    metric: Literal["psnr_hole", "ssim_hole", "l1_hole"] = "psnr_hole"
    seed: int = 1
    lambda_p: tuple[float, float] = (0.01, 1.0)
    lambda_alpha: tuple[float, float] = (0.001, 0.1)
    lambda_s: tuple[float, float] = (0.01, 1.0)
    tau: tuple[float, float] = (0.05, 0.95)


class RegistrySettings(Strict):
    """Which model is registered after evaluation, and as what.

    Attributes:
        method: whose model of each dataset is registered.
        name: prefix of the registered model's name in MLflow, which is ``<name>-<dataset>``.
    """

    method: str = "sge_net"
    name: str = "sge-net"


class ToleranceSettings(Strict):
    """By how much the mean of a score may be worse than the champion's, in the score's own unit.

    Attributes:
        psnr, psnr_hole: in dB.
        ssim, ssim_hole, l1, l1_hole, miou, miou_hole: in the score's own unit.
    """

    psnr: float = Field(default=0.1, ge=0)
    psnr_hole: float = Field(default=0.1, ge=0)
    ssim: float = Field(default=0.003, ge=0)
    ssim_hole: float = Field(default=0.01, ge=0)
    l1: float = Field(default=0.001, ge=0)
    l1_hole: float = Field(default=0.003, ge=0)
    miou: float = Field(default=0.01, ge=0)
    miou_hole: float = Field(default=0.02, ge=0)


class PromotionSettings(Strict):
    """What a challenger must show before it becomes ``champion``; see ``docs/registry.md``.

    Attributes:
        primary: the score that must be better, its paired bootstrap interval above zero.
        tolerances: how much worse any score may be, over all images and in every stratum.
        min_images: strata with fewer images are shown and not judged; the whole needs as many.
        baseline: method without learning that a first champion must beat.
        latency_factor, latency_slack: a fill may take this many times the champion's time, plus these seconds.
    """

    primary: Literal["psnr", "psnr_hole", "ssim", "ssim_hole", "l1", "l1_hole"] = "psnr_hole"
    tolerances: ToleranceSettings = ToleranceSettings()
    min_images: int = Field(default=8, ge=2)
    baseline: BaselineName = "mean_colour"
    latency_factor: float = Field(default=1.5, gt=0)
    latency_slack: float = Field(default=0.05, ge=0)


class Settings(Strict):
    """The whole of ``params.yaml``.

    Attributes:
        datasets, methods: ``dvc repro`` trains and evaluates every pair of them.
        storage: resumable training state and what clusters share: a folder or ``s3://bucket/prefix``.
        data: how raw images become shards.
        masks: holes.
        recipes: how methods are trained.
        labels: where labels come from, people's unless said otherwise.
        transfer: datasets that the models of another one fill.
        evaluation: how models are scored.
        run: how trainings are launched.
        registry: what is registered.
        search: how settings are searched for.
        promotion: what a challenger must show.
    """

    datasets: tuple[str, ...] = Field(min_length=1)
    methods: tuple[MethodName, ...] = Field(min_length=1)
    storage: str = "storage"
    data: dict[str, DataSettings]
    masks: dict[str, MaskSettings]
    recipes: dict[str, Recipe]
    labels: dict[str, LabelSettings] = Field(default={})
    transfer: tuple[TransferPair, ...] = ()
    evaluation: EvaluationSettings = EvaluationSettings()
    run: RunSettings = RunSettings()
    registry: RegistrySettings = RegistrySettings()
    search: SearchSettings = SearchSettings()
    promotion: PromotionSettings = PromotionSettings()

    def labels_of(self, dataset: str) -> LabelSettings:
        """Where a dataset's labels come from; from people, unless the settings say otherwise."""
        return self.labels.get(dataset, LabelSettings())

    @property
    def evaluated(self) -> tuple[str, ...]:
        """Every dataset that methods are evaluated on: those they are trained on, then the others."""
        return (*self.datasets, *(pair.dataset for pair in self.transfer))

    def splits_of(self, dataset: str) -> tuple[str, ...]:
        """The splits that must have images: the one that methods are trained on, if any, and the one for scores."""
        trained = ("train",) if dataset in self.datasets else ()
        return tuple(dict.fromkeys((*trained, self.evaluation.split)))

    def models_of(self, dataset: str) -> str:
        """The dataset whose models fill another one: itself, unless ``transfer`` says otherwise."""
        return next((pair.models_of for pair in self.transfer if pair.dataset == dataset), dataset)
