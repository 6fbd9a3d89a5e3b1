"""What is trained and where; what a worker is told. Plain values that travel to any machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from pipelines.settings.labels import LabelSource
from pipelines.settings.params import CacheSettings
from sgenet.label_space import LabelSpace
from sgenet.methods.recipe import Recipe
from sgenet.segmenters.settings import SegmenterRecipe
from sgenet.settings import HoleSettings


@dataclass(frozen=True, kw_only=True)
class SegmenterFit:
    """What a segmenter is fitted by.

    Attributes:
        recipe: its network; the training's recipe holds the rest of it.
        class_weights: how much a pixel of each class counts.
    """

    recipe: SegmenterRecipe
    class_weights: tuple[float, ...]


@dataclass(frozen=True)
class StartingModel:
    """A released model that a training starts from, with the hash of its weights.

    Attributes:
        folder: where the machine that launches the training has it.
    """

    name: str
    sha256: str
    folder: str


@dataclass(frozen=True, kw_only=True)
class TrainingJob:
    """One logical training.

    Attributes:
        run_key: names it; see :func:`pipelines.training.run_key.run_key`.
        method: a name in :data:`sgenet.methods.registry.METHODS`, or of a segmenter.
        crop: side in pixels of the square the networks see.
        holes: the holes of training samples; a segmenter sees whole images.
        shards: folder of shards, absolute.
        masks: folder of the fixed evaluation masks, absolute; None for a segmenter.
        validation_split: whose images the training is validated on.
        published: where workers on other nodes find shards, masks and the mask files of holes; their paths
            are relative to this address then. None: at the local paths.
        cache: where a node keeps published shards.
        checkpoints: folder or ``s3://`` address of the resumable state, of this run key alone.
        run_id: MLflow run that is logged to; None logs nowhere.
        tracking_address: of the store that has the run.
        labels: folder of automatic labels, absolute or published as the shards are; None where people's are used.
        label_source: which samples have them.
        segmenter: what is trained, where it is a segmenter and no inpainting method.
        start: the model that it starts from; None: from nothing.
    """

    run_key: str
    dataset: str
    method: str
    recipe: Recipe
    label_space: LabelSpace
    crop: int
    holes: tuple[HoleSettings, ...]
    shards: str
    masks: str | None
    validation_split: str
    checkpoints: str
    published: str | None = None
    cache: CacheSettings = field(default_factory=CacheSettings)
    run_id: str | None = None
    tracking_address: str | None = None
    labels: str | None = None
    label_source: LabelSource = "human"
    segmenter: SegmenterFit | None = None
    start: StartingModel | None = None


class Reached(NamedTuple):
    """How far a training came.

    Attributes:
        step: optimizer steps done.
        finished: whether its budget is used up.
    """

    step: int
    finished: bool


@dataclass(frozen=True)
class WorkerPlace:
    """A worker's place among the workers.

    Attributes:
        rank: 0 … world - 1; rank 0 validates, records and stores.
        world: how many workers there are.
        device: of this worker: ``cpu`` or ``cuda:<index>``.
        threads: cores this worker computes with.
    """

    rank: int = 0
    world: int = 1
    device: str = "cpu"
    threads: int = 1
