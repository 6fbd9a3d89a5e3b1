"""Training's progress for a person: a bar on a terminal, a line for each logged step elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Protocol

from rich import progress
from rich.console import Console

from pipelines.training.history import ValidationRow

_INPAINTING_SCORES = ("psnr_hole", "ssim_hole", "l1_hole")


@dataclass(frozen=True)
class LoggedStep:
    """What is known at a logged step: its losses, the speed since the one before, and the time left at that speed."""

    step: int
    terms: Mapping[str, float]
    images_per_second: float
    seconds_left: float

    def __str__(self) -> str:
        # Named as losses: the one called psnr is a loss too, and no score.
        losses = "loss: " + "  ".join(f"{name} {value:.4g}" for name, value in self.terms.items())
        left = timedelta(seconds=round(self.seconds_left))
        return f"{losses}  {self.images_per_second:.1f} images/s  {left} left"


ProgressUpdate = LoggedStep | ValidationRow
"""What a training shows on its way."""


class Display(Protocol):
    """Shows a training to its user, where it was launched."""

    def show(self, shown: ProgressUpdate) -> None:
        """Show a logged step or a validation."""

    def say(self, text: str) -> None:
        """Print a message."""


class TrainingDisplay:
    """Shows logged steps and sentences as they come.

    Args:
        num_steps: how long it takes altogether; None where the clock ends it.
        console: where to; the standard output when None.
    """

    def __init__(self, title: str, num_steps: int | None, console: Console | None = None) -> None:
        self._title = title
        self._num_steps = num_steps
        self._console = console or Console()
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[losses]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(title, total=num_steps, losses="")

    def __enter__(self) -> TrainingDisplay:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, shown: ProgressUpdate) -> None:
        """Move the bar, or print a line."""
        if isinstance(shown, ValidationRow):
            names = [name for name in _INPAINTING_SCORES if name in shown.scores] or list(shown.scores)
            scores = "  ".join(f"{name} {shown.scores[name]:.4g}" for name in names)
            self.say(f"validation at step {shown.step}: {scores}")
        elif self._console.is_terminal:
            self._bar.update(self._task, completed=shown.step, losses=str(shown))
        else:
            of_all = "" if self._num_steps is None else f"/{self._num_steps}"
            self.say(f"step {shown.step}{of_all}  {shown}")

    def say(self, text: str) -> None:
        """Print a sentence above the bar."""
        # Not wrapped: a log file is read by tools that expect one line an event.
        self._console.print(f"{self._title}: {text}", markup=False, highlight=False, soft_wrap=True)
