"""A clock for trainings: half a second for each batch, half a second for each step."""

from __future__ import annotations

import dataclasses

import pytest


@dataclasses.dataclass
class TickingClock:
    """In the place of the module ``time`` of the training loop."""

    now: float = 100.0

    def perf_counter(self) -> float:
        self.now += 0.5
        return self.now


def set_clock(patch: pytest.MonkeyPatch) -> TickingClock:
    """Let the training loop go by such a clock."""
    clock = TickingClock()
    patch.setattr("sgenet.training.loop.time", clock)
    return clock
