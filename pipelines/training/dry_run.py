"""Everything a training does before its first step, and what it would take; nothing is written.

Settings resolved, data opened and one batch read, networks built, the newest checkpoint verified:
what would stop a training on a cluster after minutes in a queue stops the dry run here at once.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pipelines.data.shards.manifest import read_manifest
from pipelines.data.shards.reader import RawBatch
from pipelines.settings.params import RunSettings
from pipelines.settings.workers import num_workers
from pipelines.storage.store import join
from pipelines.tracking.address import check_reachable, tracking_uri, without_secrets
from pipelines.training.checkpoints import CheckpointStore
from pipelines.training.gpu_costs import cost_lines, share_warning
from pipelines.training.inputs import open_inputs
from pipelines.training.job import TrainingJob, WorkerPlace
from pipelines.training.launch import trains_here
from pipelines.training.memory import StepMemory, step_memory, tensor_bytes
from pipelines.training.start import take_start
from pipelines.training.worker import build_state, open_batches
from sgenet.batch import InpaintingBatch
from sgenet.methods.build import count_macs, count_parameters
from sgenet.precision import resolve_precision
from sgenet.settings import Precision
from sgenet.training.state import TrainingState

_ADAM_MOMENTS = 2
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True)
class DataSize:
    """What the shards and masks hold, and what the first batch showed.

    Attributes:
        images: of each split.
        shard_bytes, num_shards: of all splits.
        mask_sets: names of the sets of evaluation masks.
        batch: this worker's part of the first global batch.
        seconds: it took to open the data and read it.
    """

    images: dict[str, int]
    shard_bytes: int
    num_shards: int
    mask_sets: tuple[str, ...]
    batch: RawBatch
    seconds: float


@dataclass(frozen=True)
class NetworkSize:
    """The networks in numbers, and what one worker holds of them in memory, in bytes.

    Attributes:
        generator, discriminator: trainable numbers.
        macs: multiply-accumulates of the generator for one image.
        weights: both networks with their buffers, and frozen networks of the losses.
        average: the moving average of the generator.
        moments: the optimizers' state once it exists, after the first step.
        buckets: copies of the gradients that travel between workers; 0 for one worker.
        step: activations and gradients of one step.
        precision: of that step.
        checkpoint: one checkpoint of a run under way, in storage.
    """

    generator: int
    discriminator: int
    macs: int
    weights: int
    average: int
    moments: int
    buckets: int
    step: StepMemory
    precision: Precision
    checkpoint: int

    @property
    def together(self) -> int:
        """What one worker's tensors need at most."""
        return self.weights + self.average + self.moments + self.buckets + self.step.peak


def dry_run(job: TrainingJob, run: RunSettings, manifest_folder: Path | None = None) -> list[str]:
    """Do everything up to the first step; give what is to be told, a line each.

    Args:
        manifest_folder: on this machine, with the manifest of shards that are read from a storage; by default where the
            training reads its shards.

    Raises:
        UserError: what would stop the training.
    """
    data = open_data(job, run, manifest_folder)
    state = build_state(job)
    problems: list[str] = []
    CheckpointStore(job.checkpoints, job.recipe.training.keep_checkpoints).load_newest(state, problems.append)
    start = None if job.start is None or state.step else take_start(job, job.start, state)
    size = measure(job, run, state, data.batch)
    tracking = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    check_reachable(tracking_uri(), to_write=True)
    return [
        f"{job.dataset}/{job.method}: dry run, nothing is written",
        *_data_lines(job, data),
        *_network_lines(job, run, size),
        *(_gpu_lines(job, run, size, data.batch.image.shape[0]) if run.use_gpu else []),
        f"checkpoints     {_bytes(size.checkpoint)} each, {job.recipe.training.keep_checkpoints} kept in "
        f"{without_secrets(job.checkpoints)}",
        f"tracking        {without_secrets(tracking) if tracking else 'the file mlflow/mlflow.db of this folder'}",
        f"launch          {_launch(run)}",
        f"run key         {job.run_key}",
        *(f"                {problem}" for problem in problems),
        *([] if start is None else [f"start           {start}"]),
        f"would           {_outlook(state, 'the beginning' if start is None else 'that model')}",
    ]


def open_data(job: TrainingJob, run: RunSettings, manifest_folder: Path | None = None) -> DataSize:
    """Open shards and masks and read what the first worker gets of the first global batch.

    Args:
        manifest_folder: see :func:`dry_run`.

    Raises:
        DataError: they are unfinished or altered.
    """
    started = time.perf_counter()
    training = replace(job.recipe.training, loader_processes=0)
    inputs = open_inputs(job)
    here = replace(job, recipe=replace(job.recipe, training=training))
    batch = next(open_batches(here, inputs, WorkerPlace(world=_world(job, run)), start=0))
    manifest = read_manifest(manifest_folder or Path(job.shards))
    inputs.close()
    assert inputs.masks is not None, "only inpainting methods have dry runs"
    return DataSize(
        images={split: count.written for split, count in manifest.splits.items()},
        shard_bytes=sum(shard.size for shard in manifest.shards),
        num_shards=len(manifest.shards),
        mask_sets=inputs.masks.sets,
        batch=batch,
        seconds=time.perf_counter() - started,
    )


def measure(job: TrainingJob, run: RunSettings, state: TrainingState, batch: RawBatch) -> NetworkSize:
    """Count what a worker of this training holds."""
    method = state.method
    networks = [method.generator, method.discriminator]
    trainable = tensor_bytes(weight for network in networks for weight in network.parameters() if weight.requires_grad)
    weights = tensor_bytes(tensor for network in networks for tensor in network.state_dict().values())
    judges = tensor_bytes(method.objective.parameters())
    precision = _precision_of_workers(state, run)
    average = tensor_bytes(state.ema.network.state_dict().values())
    # Adam's moments do not exist before the first step, and then have the size of what is trained.
    moments = _ADAM_MOMENTS * trainable
    images = InpaintingBatch.from_uint8(batch.image, batch.hole_mask, batch.label)
    return NetworkSize(
        generator=count_parameters(method.generator),
        discriminator=count_parameters(method.discriminator),
        macs=count_macs(state.ema.network, job.crop),
        weights=weights + judges,
        average=average,
        moments=moments,
        buckets=trainable if run.max_workers > 1 else 0,
        step=step_memory(method, images, precision),
        precision=precision,
        checkpoint=weights + average + moments,
    )


def _precision_of_workers(state: TrainingState, run: RunSettings) -> Precision:
    """The state was built on the CPU of this machine, its workers' GPUs may be elsewhere: those have bfloat16."""
    if state.step == 0 and run.use_gpu and state.recipe.training.precision == "auto":
        return resolve_precision("auto", torch.device("cuda")) if torch.cuda.is_available() else "bfloat16"
    return state.precision


def _data_lines(job: TrainingJob, data: DataSize) -> list[str]:
    images = ", ".join(f"{count} {split}" for split, count in data.images.items())
    size, where = _bytes(data.shard_bytes), _where(job, job.shards)
    num, _, height, width = data.batch.image.shape
    hole = float(data.batch.hole_mask.float().mean())
    return [
        f"data            {images} images in {data.num_shards} shards, {size}, in {where}",
        f"masks           {', '.join(data.mask_sets)} in {_where(job, job.masks or '')}",
        f"first batch     {num} × {width}×{height} px read in {data.seconds:.2f} s, {hole:.0%} missing",
    ]


def _where(job: TrainingJob, path: str) -> str:
    return join(job.published, path) if job.published else path


def _network_lines(job: TrainingJob, run: RunSettings, size: NetworkSize) -> list[str]:
    training = job.recipe.training
    share = training.batch_size // _world(job, run)
    found = "measured in one step" if size.step.computed else "computed from shapes"
    lines = [
        f"generator       {size.generator / 1e6:.2f} M parameters, {size.macs / 1e9:.2f} GMAC an image",
        f"discriminator   {size.discriminator / 1e6:.2f} M parameters",
        f"memory          of one worker, {share} images a step, {size.precision}:",
        f"  weights         {_bytes(size.weights)}",
        f"  moving average  {_bytes(size.average)}",
        f"  optimizers      {_bytes(size.moments)}",
        f"  one step        {_bytes(size.step.peak)} of activations and gradients at their peak, {found}",
    ]
    if size.buckets:
        lines.append(f"  between workers {_bytes(size.buckets)}")
    lines.append(
        f"  together        {_bytes(size.together)}, and what the device needs beside tensors (algorithms' workspaces, "
        "the allocator's reserve, CUDA itself)"
    )
    return lines


def _gpu_lines(job: TrainingJob, run: RunSettings, size: NetworkSize, share: int) -> list[str]:
    training, workers = job.recipe.training, _world(job, run)
    lines = cost_lines(training, workers, size.step.flops / share, size.together, size.precision)
    warning = share_warning(training, workers)
    return lines if warning is None else [*lines, f"warning         {warning}"]


def _launch(run: RunSettings) -> str:
    if trains_here(run):
        return "in the calling process, without Ray"
    where = "the Ray cluster of RAY_ADDRESS" if os.environ.get("RAY_ADDRESS") else "Ray on this machine"
    device = "one GPU each" if run.use_gpu else f"{run.cpus_per_worker or 'an even share of the'} cores each"
    return f"{_count(run)} workers on {where}, {device}"


def _count(run: RunSettings) -> str:
    return str(run.max_workers) if run.min_workers == run.max_workers else f"{run.min_workers} to {run.max_workers}"


def _world(job: TrainingJob, run: RunSettings) -> int:
    """The most workers there may be."""
    return num_workers(job.recipe.training.batch_size, run.min_workers, run.max_workers, run.max_workers) or 1


def _outlook(state: TrainingState, start: str) -> str:
    training = state.recipe.training
    if training.budget == "wall_clock":
        budget, done = f"{training.seconds:g} seconds of training", f"all {training.seconds:g} seconds are used"
        reached = f"step {state.step}, {state.seconds:.0f} of {training.seconds:g} seconds used"
    else:
        budget, done = f"{training.steps} steps", f"all {training.steps} are done"
        reached = f"step {state.step} of {training.steps}"
    if state.finished:
        return f"train no step: {done}, the model would be released from the stored state"
    return f"continue after {reached}" if state.step else f"start from {start}, {budget}"


def _bytes(count: int) -> str:
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit < 2 else f"{value:.1f} {_UNITS[unit]}"
