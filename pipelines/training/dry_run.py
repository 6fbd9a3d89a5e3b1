"""Everything a training does before its first step, and what it would take; nothing is written.

Settings resolved, data opened and one batch read, networks built, the newest checkpoint verified:
what would stop a training on a cluster after minutes in a queue stops the dry run here at once.
"""

from __future__ import annotations

import os
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pipelines.data.shards.manifest import Manifest, read_manifest
from pipelines.settings.params import RunSettings
from pipelines.settings.workers import num_workers
from pipelines.storage.store import join
from pipelines.tracking.address import check_reachable, tracking_uri, without_secrets
from pipelines.training.checkpoints import CheckpointStore
from pipelines.training.gpu_costs import cost_lines, share_warning
from pipelines.training.inputs import Inputs, open_inputs
from pipelines.training.job import TrainingJob, WorkerPlace
from pipelines.training.launch import trains_here
from pipelines.training.memory import StepMemory, step_memory, tensor_bytes
from pipelines.training.start import take_start
from pipelines.training.worker import build_state, open_batches
from sgenet.batch import InpaintingBatch, Uint8Batch
from sgenet.methods.build import count_macs, count_parameters
from sgenet.precision import resolve_precision
from sgenet.settings import Precision
from sgenet.training.state import TrainingState

_ADAM_MOMENTS = 2


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
    started = time.perf_counter()
    with closing(open_inputs(job)) as inputs:
        batch = first_batch(job, run, inputs)
    seconds = time.perf_counter() - started
    (num, _, height, width), hole = batch.image.shape, float(batch.hole_mask.float().mean())
    state = build_state(job)
    problems: list[str] = []
    CheckpointStore(job.checkpoints, job.recipe.training.keep_checkpoints).load_newest(state, problems.append)
    start = None if job.start is None or state.step else take_start(job, job.start, state)
    size = measure(job, run, state, batch)
    tracking = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
    check_reachable(tracking_uri(), to_write=True)
    return [
        f"{job.dataset}/{job.method}: dry run, nothing is written",
        *_data_lines(job, read_manifest(manifest_folder or Path(job.shards)), inputs),
        f"first batch     {num} × {width}×{height} px read in {seconds:.2f} s, {hole:.0%} missing",
        *_network_lines(job, run, size),
        *(_gpu_lines(job, run, size, num) if run.use_gpu else []),
        f"checkpoints     {_bytes(size.checkpoint)} each, {job.recipe.training.keep_checkpoints} kept in "
        f"{without_secrets(job.checkpoints)}",
        f"tracking        {without_secrets(tracking) if tracking else 'the file mlflow/mlflow.db of this folder'}",
        f"launch          {_launch(run)}",
        f"run key         {job.run_key}",
        *(f"                {problem}" for problem in problems),
        *([] if start is None else [f"start           {start}"]),
        f"next            {_outlook(state, 'the beginning' if start is None else 'that model')}",
    ]


def first_batch(job: TrainingJob, run: RunSettings, inputs: Inputs) -> Uint8Batch:
    """What the first worker gets of the first global batch."""
    training = replace(job.recipe.training, loader_processes=0)
    here = replace(job, recipe=replace(job.recipe, training=training))
    return next(open_batches(here, inputs, WorkerPlace(world=_world(job, run)), start=0))


def measure(job: TrainingJob, run: RunSettings, state: TrainingState, batch: Uint8Batch) -> NetworkSize:
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


def _data_lines(job: TrainingJob, manifest: Manifest, inputs: Inputs) -> list[str]:
    assert inputs.masks is not None, "only inpainting methods have dry runs"
    images = ", ".join(f"{count.written} {split}" for split, count in manifest.splits.items())
    size = _bytes(sum(shard.size for shard in manifest.shards))
    return [
        f"data            {images} images in {len(manifest.shards)} shards, {size}, in {_where(job, job.shards)}",
        f"masks           {', '.join(inputs.masks.sets)} in {_where(job, job.masks or '')}",
    ]


def _where(job: TrainingJob, path: str) -> str:
    return join(job.published, path) if job.published else path


def _network_lines(job: TrainingJob, run: RunSettings, size: NetworkSize) -> list[str]:
    share = job.recipe.training.batch_size // _world(job, run)
    found = "measured in one step" if size.step.computed else "computed from shapes"
    return [
        f"generator       {size.generator / 1e6:.2f} M parameters, {size.macs / 1e9:.2f} GMAC an image",
        f"discriminator   {size.discriminator / 1e6:.2f} M parameters",
        f"memory          of one worker, {share} images a step, {size.precision}:",
        f"  weights         {_bytes(size.weights)}",
        f"  moving average  {_bytes(size.average)}",
        f"  optimizers      {_bytes(size.moments)}",
        f"  one step        {_bytes(size.step.peak)} of activations and gradients at their peak, {found}",
        *([f"  between workers {_bytes(size.buckets)}"] if size.buckets else []),
        f"  together        {_bytes(size.together)}, plus what the device needs besides tensors (workspaces of "
        "convolutions, the allocator's reserve, the CUDA context)",
    ]


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
    count = f"{run.max_workers}" if run.min_workers == run.max_workers else f"{run.min_workers} to {run.max_workers}"
    return f"{count} worker{'' if count == '1' else 's'} on {where}, {device}"


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
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{value:.0f} {units[0]}" if units[0] in ("B", "KiB") else f"{value:.1f} {units[0]}"
