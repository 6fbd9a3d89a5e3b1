from __future__ import annotations

import math
import os
import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch

from pipelines.training.checkpoints import CheckpointStore
from pipelines.training.display import LoggedStep
from pipelines.training.history import History, ValidationRow
from pipelines.training.hooks import (
    CheckpointHook,
    LossHook,
    Recorder,
    StopHook,
    TrainingStopped,
    ValidationHook,
    is_due,
)
from pipelines.training.interruption import stop_requests
from pipelines.training.validation import Validation, Validator
from sgenet.errors import CheckpointError
from sgenet.settings import TrainingSettings
from sgenet.training.loop import StepMetrics
from sgenet.training.state import TrainingState


@dataclass
class _Display:
    shown: list[LoggedStep] = field(default_factory=list)

    def show(self, logged: LoggedStep) -> None:
        self.shown.append(logged)

    def say(self, text: str) -> None:
        pass


@dataclass
class _Store:
    events: list[str] = field(default_factory=list)

    def save_history(self, history: History) -> None:
        self.events.append(f"history {len(history.losses)}")

    def save(self, step: int, content: dict[str, object], best: int | None) -> None:
        self.events.append(f"state {step}" + (f", best {best}" if best is not None else ""))


@dataclass
class _State:
    step: int
    finished: bool = False
    seconds: float = 0.0
    looks_at_every_step: bool = True

    def check_finite(self) -> None:
        pass

    def state_dict(self) -> dict[str, object]:
        return {}


def _recorder(display: _Display, store: _Store) -> Recorder:
    return Recorder(History(), cast(CheckpointStore, store), display)


def _after(hook: LossHook | CheckpointHook | StopHook, step: int, *, finished: bool = False, used: float = 0.0) -> None:
    metrics = StepMetrics(step, {"l1": torch.tensor(float(step))}, seconds=0.5, data_seconds=0.125, num_images=4)
    hook.after_step(cast(TrainingState, _State(step, finished, used)), metrics)


@pytest.mark.parametrize(
    ("step", "every", "finished", "due"),
    [(4, 2, False, True), (3, 2, False, False), (9, 2, True, True), (4, 0, False, False), (9, 0, True, True)],
)
def test_things_are_due_every_so_many_steps_and_at_the_end(step: int, every: int, finished: bool, due: bool) -> None:
    assert is_due(step, every, finished) == due


def test_a_logged_row_holds_the_mean_losses_and_the_time_since_the_row_before() -> None:
    display = _Display()
    recorder = _recorder(display, _Store())
    hook = LossHook(TrainingSettings(steps=5, batch_size=8, log_every=2), recorder)
    for step in range(1, 6):
        _after(hook, step, finished=step == 5)
    rows = recorder.history.losses
    assert [(row.step, row.terms["l1"], row.timed_steps, row.seconds) for row in rows] == [
        (2, 1.5, 2, 1.0),
        (4, 3.5, 2, 1.0),
        (5, 5.0, 1, 0.5),
    ]
    assert recorder.history.data_wait_share == 0.25
    # 8 images a step at 2 steps a second; one step is left after step 4.
    assert display.shown[1].images_per_second == 16
    assert display.shown[1].seconds_left == 0.5


def test_a_mean_that_was_interrupted_is_the_same_after_a_resume() -> None:
    settings = TrainingSettings(steps=9, batch_size=8, log_every=4, checkpoint_every=3)
    undisturbed = _recorder(_Display(), _Store())
    hook = LossHook(settings, undisturbed)
    for step in range(1, 9):
        _after(hook, step)
    assert [row.terms["l1"] for row in undisturbed.history.losses] == [2.5, 6.5]
    for killed_after in (3, 6):
        recorder = _recorder(_Display(), _Store())
        recorder.history = History.from_json_lines(undisturbed.history.to_json_lines())
        recorder.history.rewind(killed_after)
        resumed = LossHook(settings, recorder, killed_after)
        for step in range(killed_after + 1, 9):
            _after(resumed, step)
        assert [row.terms for row in recorder.history.losses] == [row.terms for row in undisturbed.history.losses]


def test_the_end_is_as_near_as_the_clock_says() -> None:
    display = _Display()
    settings = TrainingSettings(budget="wall_clock", seconds=60.0, batch_size=8, log_every=2)
    hook = LossHook(settings, _recorder(display, _Store()))
    _after(hook, 2, used=42.5)
    _after(hook, 3, used=61.0, finished=True)
    assert [logged.seconds_left for logged in display.shown] == [17.5, 0.0]


def test_history_is_stored_before_the_state_so_that_no_checkpoint_lacks_a_row() -> None:
    store = _Store()
    recorder = _recorder(_Display(), store)
    hook = CheckpointHook(TrainingSettings(steps=5, checkpoint_every=2), recorder)
    for step in range(1, 6):
        _after(hook, step, finished=step == 5)
    recorder.close()
    assert store.events == ["history 0", "state 2", "history 0", "state 4", "history 0", "state 5"]


def test_a_stop_stores_the_state_once_and_ends_the_loop() -> None:
    requested, store = threading.Event(), _Store()
    recorder = _recorder(_Display(), store)
    checkpoint = CheckpointHook(TrainingSettings(steps=9, checkpoint_every=2), recorder)
    stop = StopHook(requested.is_set, recorder, LossHook(TrainingSettings(steps=9), recorder))
    _after(stop, 1)
    requested.set()
    _after(checkpoint, 2)
    with pytest.raises(TrainingStopped):
        _after(stop, 2)
    recorder.close()
    assert store.events == ["history 0", "state 2"]


def test_first_sigterm_asks_second_interrupts_and_handlers_come_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_requests() as requested:
        os.kill(os.getpid(), signal.SIGTERM)
        assert requested.is_set()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


@dataclass
class _Validator:
    """Finds these values, one a validation, and remembers the precisions it was asked for."""

    found: list[float]
    precisions: list[str] = field(default_factory=list)

    def validate(self, generator: object, device: object, precision: str) -> Validation:
        self.precisions.append(precision)
        return Validation({"psnr_hole": self.found.pop(0), "ssim_hole": 0.0, "l1_hole": 0.0}, None)


def test_the_best_state_is_stored_when_it_is_found_and_kept_then() -> None:
    store = _Store()
    recorder = _recorder(_Display(), store)
    settings = TrainingSettings(steps=6, validate_every=1, checkpoint_every=3)
    validator = _Validator([10.0, 12.0, math.nan, 11.0, 12.0, 13.0])
    validation = ValidationHook(settings, recorder, cast(Validator, validator))
    checkpoint = CheckpointHook(settings, recorder)
    for step in range(1, 7):
        state = cast(
            TrainingState,
            SimpleNamespace(
                step=step,
                finished=step == 6,
                device=torch.device("cpu"),
                ema=SimpleNamespace(network=None),
                state_dict=dict,
                looks_at_every_step=True,
            ),
        )
        metrics = StepMetrics(step, {}, 0.5, 0.1, 4)
        validation.after_step(state, metrics)
        checkpoint.after_step(state, metrics)
    recorder.close()
    states = [event for event in store.events if "state" in event]
    assert states == ["state 1, best 1", "state 2, best 2", "state 3, best 2", "state 6, best 6"]
    assert recorder.history.best == ValidationRow(6, {"psnr_hole": 13.0, "ssim_hole": 0.0, "l1_hole": 0.0})


def test_a_gpu_validates_in_the_precision_it_trains_in_and_a_cpu_in_float32() -> None:
    validator = _Validator([1.0] * 3)
    hook = ValidationHook(TrainingSettings(validate_every=1), None, cast(Validator, validator))
    for device, precision in (("cpu", "bfloat16"), ("cuda", "bfloat16"), ("cuda", "float32")):
        state = SimpleNamespace(
            finished=False, device=torch.device(device), precision=precision, ema=SimpleNamespace(network=None)
        )
        hook.after_step(cast(TrainingState, state), StepMetrics(1, {}, 0.5, 0.1, 4))
    assert validator.precisions == ["float32", "bfloat16", "float32"]


@dataclass
class _SlowStore(_Store):
    """Takes its time until it is let go, and remembers the weight it was given."""

    go_on: threading.Event = field(default_factory=threading.Event)
    weights: list[float] = field(default_factory=list)

    def save(self, step: int, content: dict[str, object], best: int | None) -> None:
        assert self.go_on.wait(30)
        if step == 2:
            raise CheckpointError("the disk is full")
        self.weights.append(float(cast(torch.Tensor, content["weight"])))


def _on_gpu(step: int, content: dict[str, object]) -> TrainingState:
    """A state that nobody looks at after every step."""
    state = SimpleNamespace(step=step, state_dict=lambda: content, looks_at_every_step=False)
    return cast(TrainingState, state)


def test_a_training_goes_on_while_its_state_is_stored_as_it_was() -> None:
    store, weight = _SlowStore(), torch.tensor(1.0)
    recorder = _recorder(_Display(), store)
    recorder.store_state(_on_gpu(1, {"weight": weight}))
    # Here the training is at its next step, and nothing is stored yet.
    weight += 5
    assert store.weights == []
    store.go_on.set()
    recorder.close()
    assert store.weights == [1.0]


def test_a_state_that_cannot_be_stored_stops_the_training_at_the_next_one() -> None:
    store = _SlowStore()
    store.go_on.set()
    recorder = _recorder(_Display(), store)
    recorder.store_state(_on_gpu(2, {}))
    with pytest.raises(CheckpointError, match="the disk is full"):
        recorder.store_state(_on_gpu(3, {}))
