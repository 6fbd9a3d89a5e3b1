"""What the trials of a search came to, and how they are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.storage.csv_text import csv_text


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        curve: (step, score) at each time it was judged, in order; empty where it failed before the first.
        error: what it failed with; None for a trial that ran to its end or was stopped as one of the worse.
    """

    trial_id: str
    values: Mapping[str, float]
    curve: tuple[tuple[int, float], ...]
    error: str | None = None

    @property
    def step(self) -> int:
        """The step of the last score."""
        return self.curve[-1][0] if self.curve else 0

    @property
    def score(self) -> float | None:
        """The last score."""
        return self.curve[-1][1] if self.curve else None


def best_trial(trials: Sequence[Trial], maximises: bool) -> Trial | None:
    """The best of the trials that were trained longest; None where none was judged.

    A trial that was stopped early is never the best: a score after fewer steps says nothing about one after more.
    """
    sound = [trial for trial in trials if trial.curve and trial.error is None]
    longest = max((trial.step for trial in sound), default=0)
    finalists = [trial for trial in sound if trial.step == longest]
    sign = 1 if maximises else -1
    return max(finalists, key=lambda trial: sign * trial.curve[-1][1], default=None)


def common_scores(trials: Sequence[Trial]) -> tuple[int, list[tuple[Trial, float]]]:
    """The last step at which every sound trial was judged, and their scores there: the only fair comparison of all."""
    sound = [trial for trial in trials if trial.curve and trial.error is None]
    shared = set.intersection(*({step for step, _ in trial.curve} for trial in sound)) if sound else set()
    if not shared:
        return 0, []
    step = max(shared)
    return step, [(trial, dict(trial.curve)[step]) for trial in sound]


def table(trials: Sequence[Trial], names: Sequence[str], metric: str) -> str:
    """A CSV table, a row a trial: id, step and score of the last judgement, values, error."""
    rows = (
        [trial.trial_id, trial.step, trial.score, *(trial.values[name] for name in names), trial.error]
        for trial in trials
    )
    return csv_text(["trial", "step", metric, *names, "error"], rows)
