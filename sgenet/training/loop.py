"""The training loop, in plain PyTorch: the same in a notebook, on a bare GPU machine and in a Ray worker."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.distributed as dist
from torch import Tensor

from sgenet.batch import InpaintingBatch, Uint8Batch
from sgenet.methods.method import Terms
from sgenet.training.state import TrainingState
from sgenet.training.step import training_step

_MOST_STEPS_AHEAD = 50
"""After so many steps a GPU is asked whether its losses are finite, where nothing else is due."""


@dataclass(frozen=True)
class StepMetrics:
    """What a hook learns of a finished step.

    Attributes:
        step: the number of finished steps, this one included.
        terms: named loss terms of this worker, still on the device.
        seconds: wall time of the step, waiting for data included.
        data_seconds: the part spent waiting for data.
        num_images: images of this worker in the step.
    """

    step: int
    terms: Terms
    seconds: float
    data_seconds: float
    num_images: int

    def values(self) -> dict[str, float]:
        """The loss terms averaged over all workers, as numbers. Every rank must call it, or none."""
        return averaged_over_ranks([self.terms])[0]


def averaged_over_ranks(steps: Sequence[Terms]) -> list[dict[str, float]]:
    """The loss terms of several steps, averaged over all workers, as numbers. Every rank must call it, or none.

    Args:
        steps: of this worker, each with the same terms.
    """
    names = sorted(steps[0])
    stacked = torch.stack([torch.stack([terms[name].float() for name in names]) for terms in steps])
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(stacked)
        stacked /= dist.get_world_size()
    return [dict(zip(names, row, strict=True)) for row in stacked.tolist()]


class Hook(Protocol):
    """Something that happens after every step, on every rank."""

    def after_step(self, state: TrainingState, metrics: StepMetrics) -> None:
        """Called once for each finished step, in order."""


def fit(
    state: TrainingState, batches: Iterator[Uint8Batch], hooks: Sequence[Hook] = (), *, until_step: int | None = None
) -> None:
    """Train until the budget of the recipe is used up.

    A wall-clock budget ends with the first step after its seconds; which step that is depends on the
    machine, so that such a training is not repeated to the bit.

    Args:
        state: trained in place.
        batches: this worker's share of the global batches ``state.step``, ``state.step + 1``, …
        hooks: called in this order after every step.
        until_step: stop when ``state.step`` is this, if there is budget left then.

    Raises:
        NonFiniteError: a loss or gradient is NaN or infinite. On the CPU before the step that it would have spoilt;
            elsewhere at a later step, before anything is logged, validated or stored.
    """
    state.method.generator.train()
    state.method.discriminator.train()
    while not state.finished and (until_step is None or state.step < until_step):
        started = time.perf_counter()
        loaded = next(batches)
        arrived = time.perf_counter()
        batch = _to_device(loaded, state.device)
        terms = training_step(state, batch)
        if not state.looks_at_every_step and _look_is_due(state):
            # Within the time: the host is ahead of the device until it reads something.
            state.check_finite()
        finished = time.perf_counter()
        state.spend(finished - started)
        metrics = StepMetrics(state.step, terms, finished - started, arrived - started, batch.num_images)
        for hook in hooks:
            hook.after_step(state, metrics)
    if not state.looks_at_every_step:
        state.check_finite()


def is_due(step: int, every: int, finished: bool) -> bool:
    """Whether something that happens every so many steps (0: never) happens now; the last step always counts."""
    return finished or (every > 0 and step % every == 0)


def _look_is_due(state: TrainingState) -> bool:
    training = state.recipe.training
    if training.budget == "wall_clock":
        # The clock must be that of the device.
        return True
    whenever = (training.log_every, training.checkpoint_every, training.validate_every, _MOST_STEPS_AHEAD)
    return any(is_due(state.step, every, state.finished) for every in whenever)


def _to_device(loaded: Uint8Batch, device: torch.device) -> InpaintingBatch:
    """Move as bytes, convert there: a quarter of the traffic of float32."""

    def moved(part: Tensor) -> Tensor:
        # A copy out of other memory makes the host wait; and the loader fills its own again meanwhile.
        return (part.pin_memory() if device.type == "cuda" else part).to(device, non_blocking=True)

    return InpaintingBatch.from_uint8(moved(loaded.image), moved(loaded.hole_mask), moved(loaded.label))
