"""What one worker of a training does: the same in this process and in a Ray worker."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

import numpy as np
import torch

from pipelines.data.shards.ahead import WindowsAhead
from pipelines.data.shards.loader import training_batches
from pipelines.data.shards.reader import ShardDataset
from pipelines.data.shards.sampler import GlobalBatchSampler, training_order
from pipelines.data.shards.schema import SampleTable
from pipelines.parallel.device import check_device
from pipelines.training.checkpoints import CheckpointStore
from pipelines.training.display import Display
from pipelines.training.hooks import (
    CheckpointHook,
    LossHook,
    Recorder,
    StopHook,
    TrainingStopped,
    ValidationHook,
)
from pipelines.training.inputs import Inputs, open_inputs
from pipelines.training.job import Reached, TrainingJob, WorkerPlace
from pipelines.training.published_weights import fetch_weights
from pipelines.training.ranks import Ranks, all_ranks
from pipelines.training.validation import InpaintingValidator, SegmenterValidator, Validator
from sgenet.batch import Uint8Batch
from sgenet.errors import SettingsError, UserError
from sgenet.masks import HoleDrawer
from sgenet.methods.build import build_method
from sgenet.methods.method import Method
from sgenet.precision import has_bfloat16
from sgenet.settings import TrainingSettings
from sgenet.training.determinism import choose_kernels, is_deterministic
from sgenet.training.loop import Hook, fit
from sgenet.training.state import TrainingState
from sgenet.transforms import TrainingTransform

if TYPE_CHECKING:
    from pipelines.tracking.logger import RunLogger

TRAINING_SPLIT = "train"


def train(job: TrainingJob, place: WorkerPlace, display: Display, stop_requested: Callable[[], bool]) -> Reached:
    """Train from the newest stored state to the end of the recipe's budget, or until it is asked to stop.

    The result is in the checkpoint store. Every rank calls this, in a process group
    where there are several.

    Args:
        stop_requested: asked after steps; once it is true on any rank, all store the state and stop.

    Raises:
        UserError: the data, the settings or the losses do not allow training to continue.
    """
    _prepare_process(place, job.recipe.training)
    job = fetch_weights(job)
    store = CheckpointStore(job.checkpoints, job.recipe.training.keep_checkpoints)
    state = build_state(job, place.device)
    state.distribute()
    ranks = all_ranks(place.rank, place.world)
    _restore(state, store, display, ranks)
    if state.finished:
        return Reached(state.step, state.finished)
    if place.rank == 0 and state.precision == "bfloat16" and not has_bfloat16(state.device):
        display.say(
            f"this {state.device.type.upper()} emulates bfloat16, many times slower than float32; "
            f"recipes.{job.dataset}.training.precision: auto avoids that in new trainings"
        )
    with closing(open_inputs(job)) as inputs, _recorder(job, place, state, store, display) as recorder:
        hooks = _hooks(job, inputs, stop_requested, recorder, state.step, ranks)
        with suppress(TrainingStopped), _out_of_memory_said(job, place):
            fit(state, _batches(job, inputs, place, state.step, display), hooks)
    return Reached(state.step, state.finished)


@contextmanager
def _out_of_memory_said(job: TrainingJob, place: WorkerPlace) -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        share = job.recipe.training.batch_size // place.world
        raise UserError(
            f"{place.device} of worker {place.rank} has too little memory for {share} images a step "
            f"({str(error).split('. ')[0]}); use more workers, or a smaller recipes.{job.dataset}.training.batch_size"
        ) from error


def build_state(job: TrainingJob, device: str = "cpu") -> TrainingState:
    """The state before the first step."""
    return TrainingState(_method(job), job.recipe, device)


def _method(job: TrainingJob) -> Method:
    num_classes = job.label_space.num_classes
    if job.segmenter is None:
        return build_method(job.method, job.recipe, num_classes)
    # Only for segmenters: their code is not in the run key of an inpainting method.
    from sgenet.segmenters.build import build_segmenter
    from sgenet.segmenters.method import segmenter_method

    network = build_segmenter(job.method, job.segmenter.recipe, num_classes)
    return segmenter_method(job.method, network, job.segmenter.class_weights, job.segmenter.recipe.optimizer)


def _prepare_process(place: WorkerPlace, training: TrainingSettings) -> None:
    device = torch.device(place.device)
    check_device(device.type)
    deterministic = is_deterministic(training.deterministic, device)
    if deterministic:
        # Read when CUDA starts, which must not have happened yet.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if training.compile and device.type == "cuda" and not any(map(shutil.which, ("cc", "gcc", "clang"))):
        raise SettingsError(["training.compile is true, but there is no C compiler; install gcc, or set it to false"])
    torch.set_num_threads(place.threads)
    choose_kernels(device, deterministic=deterministic)


def _restore(state: TrainingState, store: CheckpointStore, display: Display, ranks: Ranks) -> None:
    """Load the newest checkpoint that rank 0 could read and verify on every rank."""
    step, found = 0, False
    if ranks.rank == 0:
        # Of step 0 as well, where a training starts from another model.
        step, found = store.load_newest(state, display.say), bool(store.steps())
    if ranks.of_first(found):
        ranks.share_state(state)
    if step:
        display.say(f"continuing after step {step}")


def open_batches(job: TrainingJob, inputs: Inputs, place: WorkerPlace, start: int) -> Iterator[Uint8Batch]:
    """This worker's part of every global batch from number ``start`` on.

    Raises:
        DataError: the training split is empty, or nothing in it is labelled and a segmenter is fitted.
    """
    return _load(job, inputs, place, start, *_training_data(job, inputs))


def _training_data(job: TrainingJob, inputs: Inputs) -> tuple[SampleTable, GlobalBatchSampler]:
    """What is trained on, and in which order."""
    training, table = job.recipe.training, inputs.table.of_split(TRAINING_SPLIT)
    if job.segmenter is not None:
        table = table.labelled()
    return table, training_order(table, training.batch_size, training.seed, training.window_gigabytes)


def _load(
    job: TrainingJob, inputs: Inputs, place: WorkerPlace, start: int, table: SampleTable, order: GlobalBatchSampler
) -> Iterator[Uint8Batch]:
    draw_hole = None if job.segmenter else HoleDrawer(inputs.holes, job.crop, job.crop)
    transform = TrainingTransform(job.crop, job.recipe.augmentation)
    return training_batches(
        ShardDataset(table, transform, draw_hole, inputs.shards),
        order,
        rank=place.rank,
        world=place.world,
        start=start,
        processes=job.recipe.training.loader_processes,
        crop=job.crop,
    )


def _batches(
    job: TrainingJob, inputs: Inputs, place: WorkerPlace, start: int, display: Display
) -> Iterator[Uint8Batch]:
    table, order = _training_data(job, inputs)
    if inputs.shards is not None:
        validation = inputs.table.of_split(job.validation_split)
        always = validation.files_of(np.flatnonzero(validation.shard_sizes()).tolist())
        capacity = int(job.cache.gigabytes * 1e9)
        inputs.ahead = WindowsAhead(inputs.shards, table, order, always, capacity, display.say)
        # Processes are forked here and for the first batch: no thread may be at work before.
        inputs.ahead.move_to(start)
    for number, batch in enumerate(_load(job, inputs, place, start, table, order), start):
        yield batch
        if inputs.ahead is not None:
            inputs.ahead.move_to(number + 1)


@contextmanager
def _recorder(
    job: TrainingJob, place: WorkerPlace, state: TrainingState, store: CheckpointStore, display: Display
) -> Iterator[Recorder | None]:
    """What rank 0 keeps, closed at the end; None for the other ranks."""
    if place.rank != 0:
        yield None
        return
    with closing(Recorder(store.load_history(state.step), store, display, _open_logger(job))) as recorder:
        yield recorder


def _hooks(
    job: TrainingJob,
    inputs: Inputs,
    stop_requested: Callable[[], bool],
    recorder: Recorder | None,
    step: int,
    ranks: Ranks,
) -> list[Hook]:
    training = job.recipe.training
    # In this order: what validation stores includes the losses up to it, and a stop comes after all has been stored.
    losses = LossHook(training, recorder, step)
    hooks: list[Hook] = [losses, ValidationHook(training, recorder, _validator(job, inputs, ranks))]
    if recorder is not None:
        hooks.append(CheckpointHook(training, recorder))
    return [*hooks, StopHook(stop_requested, recorder, losses, ranks)]


def _validator(job: TrainingJob, inputs: Inputs, ranks: Ranks) -> Validator:
    table = inputs.table.of_split(job.validation_split)
    num_samples = job.recipe.training.num_sample_images
    if job.segmenter is not None:
        return SegmenterValidator(table.labelled(), job.crop, job.label_space, num_samples, inputs.shards, ranks)
    assert inputs.masks is not None, "inpainting is validated with fixed holes"
    return InpaintingValidator(inputs.masks, table, job.crop, job.label_space, num_samples, inputs.shards, ranks)


def _open_logger(job: TrainingJob) -> RunLogger | None:
    if job.run_id is None:
        return None
    from pipelines.tracking.logger import RunLogger

    logger = RunLogger(job.run_id, job.tracking_address)
    logger.skip_logged_steps()
    return logger
