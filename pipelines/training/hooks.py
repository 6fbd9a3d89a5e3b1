"""What happens after a training step: losses recorded, images validated, state stored, a stop obeyed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelines.training.checkpoints import CheckpointStore
from pipelines.training.display import Display, LoggedStep
from pipelines.training.history import History, LossRow, ValidationRow
from pipelines.training.ranks import ALONE, Ranks
from pipelines.training.validation import Validation, Validator
from sgenet.methods.method import Terms
from sgenet.settings import TrainingSettings
from sgenet.training.checkpoint import on_host
from sgenet.training.loop import StepMetrics, averaged_over_ranks, is_due
from sgenet.training.state import TrainingState

if TYPE_CHECKING:
    from pipelines.tracking.logger import RunLogger


_STEPS_BETWEEN_QUESTIONS = 10


class TrainingStopped(Exception):
    """Raised on every rank after the step at which a requested stop took effect, the state stored."""


@dataclass
class Recorder:
    """Everything rank 0 keeps: the history, the checkpoints, the tracked run, and the display.

    Attributes:
        logger: of the tracked run; None tracks nothing.

    States on a GPU are stored by a thread of its own, one at a time, while the next steps run.
    """

    history: History
    store: CheckpointStore
    display: Display
    logger: RunLogger | None = None
    _stored_step: int = field(default=-1, init=False)
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "checkpoints"), init=False)
    _storing: Future[None] | None = field(default=None, init=False)

    def record_losses(self, row: LossRow, batch_size: int, seconds_left: float) -> None:
        """Keep, track and show the losses of a step."""
        self.history.add_losses(row)
        speed = row.timed_steps * batch_size / row.seconds
        if self.logger is not None:
            self.logger.metrics(tracked_losses(row, batch_size), row.step)
        self.display.show(LoggedStep(row.step, row.terms, speed, seconds_left))

    def record_validation(self, result: Validation, state: TrainingState) -> None:
        """Keep and track the scores and the sample images of the averaged generator.

        The state is stored where it is the best so far, whether or not a checkpoint is due.
        """
        row = ValidationRow(state.step, result.scores)
        self.history.add_validation(row)
        if self.logger is not None:
            self.logger.metrics(tracked_scores(self.history.validations[-1]), state.step)
            if result.sheet is not None:
                self.logger.image(result.sheet, "samples", state.step)
        self.display.show(row)
        if self.history.best is not None and self.history.best.step == state.step:
            self.store_state(state)

    def store_state(self, state: TrainingState) -> None:
        """Store history and state, once a step; a GPU waits while they are copied, no longer.

        Raises:
            UserError: the state before could not be stored.
        """
        if state.step == self._stored_step:
            return
        self.wait()
        self._stored_step = state.step
        best = None if self.history.best is None else self.history.best.step
        if state.looks_at_every_step:
            # On a CPU, whose cores would have to do both at once.
            self._store(state.step, self.history, state.state_dict(), best)
            return
        history, content = self.history.copy(), on_host(state.state_dict())
        self._storing = self._thread.submit(self._store, state.step, history, content, best)

    def wait(self) -> None:
        """Wait for the checkpoint being written.

        Raises:
            UserError: it could not be.
        """
        storing, self._storing = self._storing, None
        if storing is not None:
            storing.result()

    def close(self) -> None:
        """Wait until the last state is stored, and what was logged is in the tracked run."""
        try:
            self.wait()
        finally:
            self._thread.shutdown()
            if self.logger is not None:
                self.logger.close()

    def _store(self, step: int, history: History, content: dict[str, Any], best: int | None) -> None:
        self.store.save_history(history)
        self.store.save(step, content, best)


def tracked_rows(history: History, batch_size: int) -> Iterator[tuple[int, dict[str, float]]]:
    """A training's history as steps and values, under the names that the tracked run gives them."""
    for row in history.losses:
        yield row.step, tracked_losses(row, batch_size)
    for validation in history.validations:
        yield validation.step, tracked_scores(validation)


def tracked_losses(row: LossRow, batch_size: int) -> dict[str, float]:
    """The losses and the speed of a step under the names that the tracked run gives them."""
    return {f"loss/{name}": value for name, value in row.terms.items()} | {
        "speed/images_per_second": row.timed_steps * batch_size / row.seconds,
        "speed/data_wait_share": row.data_wait_seconds / row.seconds,
    }


def tracked_scores(row: ValidationRow) -> dict[str, float]:
    """The validation scores under the names that the tracked run gives them."""
    return {f"val/{name}": value for name, value in row.scores.items()}


class LossHook:
    """Averages the losses over the ranks and the steps since the last row. For every rank; only rank 0 has a recorder.

    Args:
        step: steps done before this process; the terms of those without a row are in the recorder's history.
    """

    def __init__(self, settings: TrainingSettings, recorder: Recorder | None, step: int = 0) -> None:
        self._settings = settings
        self._recorder = recorder
        self._on_device: list[Terms] = []
        self._terms = list(recorder.history.unfinished.get(step, [])) if recorder is not None else []
        self._forget_time()

    def after_step(self, state: TrainingState, metrics: StepMetrics) -> None:
        """Count the time; record at logged steps."""
        self._timed_steps += 1
        self._seconds += metrics.seconds
        self._data_wait_seconds += metrics.data_seconds
        settings = self._settings
        if not settings.log_every:  # nothing is logged but the last step
            self._on_device.clear()
        self._on_device.append(metrics.terms)
        if is_due(metrics.step, settings.log_every, state.finished):
            self.collect(metrics.step)
            if self._recorder is not None:
                mean = {
                    name: math.fsum(terms[name] for terms in self._terms) / len(self._terms) for name in self._terms[0]
                }
                row = LossRow(metrics.step, mean, self._timed_steps, self._seconds, self._data_wait_seconds)
                self._recorder.record_losses(row, settings.batch_size, self._seconds_left(state, row))
                self._recorder.history.unfinished.pop(metrics.step)
            self._terms = []
            self._forget_time()
        elif settings.log_every and any(
            is_due(metrics.step, every, False) for every in (settings.checkpoint_every, settings.validate_every)
        ):
            self.collect(metrics.step)

    def collect(self, step: int) -> None:
        """Take the terms from the device and average them over the ranks, for a state that is stored at this step.

        Every rank must call it, or none.
        """
        if self._on_device:
            self._terms += averaged_over_ranks(self._on_device)
            self._on_device = []
        if self._recorder is not None and self._terms:
            self._recorder.history.unfinished[step] = list(self._terms)

    def _seconds_left(self, state: TrainingState, row: LossRow) -> float:
        if self._settings.budget == "wall_clock":
            return max(0.0, self._settings.seconds - state.seconds)
        return (self._settings.steps - row.step) * row.seconds / row.timed_steps

    def _forget_time(self) -> None:
        self._timed_steps, self._seconds, self._data_wait_seconds = 0, 0.0, 0.0


@dataclass(frozen=True)
class ValidationHook:
    """Validates now and then. For every rank; only rank 0 has a recorder."""

    settings: TrainingSettings
    recorder: Recorder | None
    validator: Validator

    def after_step(self, state: TrainingState, metrics: StepMetrics) -> None:
        """Validate at due steps."""
        if not is_due(metrics.step, self.settings.validate_every, state.finished):
            return
        # A GPU looks in the precision that it trains in; a CPU in float32, as it is evaluated.
        precision = state.precision if state.device.type == "cuda" else "float32"
        result = self.validator.validate(state.ema.network, state.device, precision)
        if self.recorder is not None:
            self.recorder.record_validation(result, state)


@dataclass(frozen=True)
class CheckpointHook:
    """Stores the state now and then. For rank 0."""

    settings: TrainingSettings
    recorder: Recorder

    def after_step(self, state: TrainingState, metrics: StepMetrics) -> None:
        """Store at due steps."""
        if is_due(metrics.step, self.settings.checkpoint_every, state.finished):
            self.recorder.store_state(state)


@dataclass(frozen=True)
class StopHook:
    """Stops all ranks after the same step once any of them is asked to stop. For every rank.

    Attributes:
        stop_requested: whether this rank is asked to.
        recorder: stores the state; None on other ranks than the first.
    """

    stop_requested: Callable[[], bool]
    recorder: Recorder | None
    losses: LossHook
    ranks: Ranks = ALONE

    def after_step(self, state: TrainingState, metrics: StepMetrics) -> None:
        """Ask, agree, and stop.

        Raises:
            TrainingStopped: on every rank.
        """
        if self.ranks.world > 1 and not state.looks_at_every_step and state.step % _STEPS_BETWEEN_QUESTIONS:
            # Steps of a GPU are short: meeting after every one would cost more than a late stop.
            return
        if not self.ranks.any(self.stop_requested()):
            return
        state.check_finite()
        self.losses.collect(state.step)
        if self.recorder is not None:
            self.recorder.store_state(state)
        raise TrainingStopped
