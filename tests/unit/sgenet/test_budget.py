"""What ends a training: steps, or seconds of training. The clock here ticks once a step."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest
from small import loader, small_method, small_recipe
from ticking import TickingClock, set_clock

from sgenet.settings import OptimizerSettings
from sgenet.training.checkpoint import load_checkpoint, save_checkpoint
from sgenet.training.loop import Hook, StepMetrics, fit
from sgenet.training.schedule import lr_factor
from sgenet.training.state import TrainingState


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> TickingClock:
    return set_clock(monkeypatch)


def _state(seed: int = 1, **training: object) -> TrainingState:
    recipe = small_recipe(seed=seed, **{"budget": "wall_clock", "seconds": 2.5, **training})
    return TrainingState(small_method(recipe=recipe), recipe)


def _fit(state: TrainingState, hooks: Sequence[Hook] = (), until_step: int | None = None) -> int:
    """Train; the number of steps."""
    before = state.step
    fit(state, loader(before), hooks, until_step=until_step)
    return state.step - before


def test_the_clock_ends_a_training_with_the_first_step_after_its_seconds(clock: TickingClock) -> None:
    state = _state(steps=1)
    assert _fit(state) == 3
    assert (state.step, state.seconds, state.finished) == (3, 3.0, True)
    assert _fit(state) == 0


def test_seconds_that_are_used_exactly_are_used_up(clock: TickingClock) -> None:
    state = _state(seconds=2.0)
    _fit(state)
    assert state.step == 2


def test_validating_and_storing_cost_no_budget(clock: TickingClock) -> None:
    @dataclasses.dataclass
    class Slow:
        seen: list[tuple[float, bool]] = dataclasses.field(default_factory=list)

        def after_step(self, state: TrainingState, metrics: StepMetrics) -> None:
            clock.now += 60
            self.seen.append((state.seconds, state.finished))

    slow = Slow()
    _fit(_state(), [slow])
    assert slow.seen == [(1.0, False), (2.0, False), (3.0, True)]


def test_a_resumed_training_counts_what_was_used_before(clock: TickingClock, tmp_path: Path) -> None:
    first, second = _state(), _state(seed=77)
    _fit(first, until_step=2)
    assert not first.finished
    save_checkpoint(first, tmp_path / "state.pt")
    load_checkpoint(second, tmp_path / "state.pt")
    assert (second.step, second.seconds) == (2, 2.0)
    assert _fit(second) == 1
    assert second.finished


def test_the_rate_falls_with_the_seconds_that_are_left(clock: TickingClock) -> None:
    recipe = small_recipe(budget="wall_clock", seconds=4.0, steps=1, optimizer={"generator_lr": 1.0})
    state, rates = TrainingState(small_method(recipe=recipe), recipe), []
    for seconds in (0.0, 2.0, 3.0, 3.5):
        state.seconds = seconds
        state.set_learning_rates()
        rates.append(state.generator_optimizer.param_groups[0]["lr"])
    assert rates == [1.0, 1.0, 0.5, 0.25]


def test_the_rate_rises_in_steps_whatever_the_budget() -> None:
    settings = OptimizerSettings(warmup_steps=4, decay_from=0.5)
    assert lr_factor(0, 0.0, 60.0, settings) == 0.25
    assert lr_factor(3, 45.0, 60.0, settings) == 0.5


def test_steps_end_a_training_however_long_they_take(clock: TickingClock) -> None:
    state = _state(budget="steps", seconds=0.0, steps=4)
    assert _fit(state, until_step=99) == 4
    assert state.finished


def test_the_time_is_no_part_of_a_state_that_it_does_not_decide(clock: TickingClock) -> None:
    """Or two trainings of equal steps would end in different checkpoints."""
    counted, timed = _state(budget="steps", seconds=0.0, steps=1), _state()
    _fit(counted)
    _fit(timed)
    assert "seconds" not in counted.state_dict()
    assert timed.state_dict()["seconds"] == 3.0
