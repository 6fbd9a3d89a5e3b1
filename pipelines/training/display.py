"""Training's progress for a person: a bar on a terminal, a line for each logged step elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from pipelines.training.history import ValidationRow

_INPAINTING_SCORES = ("psnr_hole", "ssim_hole", "l1_hole")


@dataclass(frozen=True)
class LoggedStep:
    """What is known at a logged step.

    Attributes:
        step: optimizer steps done.
        terms: named loss terms.
        images_per_second: since the logged step before.
        seconds_left: estimated at that speed.
    """

    step: int
    terms: Mapping[str, float]
    images_per_second: float
    seconds_left: float

    def __str__(self) -> str:
        losses = "  ".join(f"{name} {value:.4g}" for name, value in self.terms.items())
        left = timedelta(seconds=round(self.seconds_left))
        return f"{losses}  {self.images_per_second:.1f} images/s  {left} left"


class ValidationSentence(str):
    """What the user is told of a validation, and the scores themselves for comparing trainings.

    Attributes:
        row: the scores.
    """

    row: ValidationRow

    def __new__(cls, row: ValidationRow) -> ValidationSentence:
        """Word the scores."""
        names = _INPAINTING_SCORES if _INPAINTING_SCORES[0] in row.scores else tuple(row.scores)
        shown = "  ".join(f"{name} {row.scores[name]:.4g}" for name in names)
        sentence = super().__new__(cls, f"validation at step {row.step}: {shown}")
        sentence.row = row
        return sentence

    def __reduce__(self) -> tuple[type[ValidationSentence], tuple[ValidationRow]]:
        # It travels from a worker to the driver.
        return type(self), (self.row,)


class Supervisor(Protocol):
    """The launcher's side of a training: receives progress, and says whether to continue."""

    def show(self, logged: LoggedStep) -> None:
        """Show a logged step."""

    def say(self, text: str) -> None:
        """Tell the user a sentence."""

    def stop_requested(self) -> bool:
        """Whether training should store its state and stop after this step."""


class Display(Protocol):
    """What becomes of the messages where the training was launched."""

    def show(self, logged: LoggedStep) -> None:
        """Show a logged step."""

    def say(self, text: str) -> None:
        """Tell the user a sentence; see also :class:`ValidationSentence`."""


class TrainingDisplay:
    """Shows logged steps and sentences as they come.

    Args:
        title: what is trained.
        num_steps: how long it takes altogether; None where the clock ends it.
        console: where to; the standard output when None.
    """

    def __init__(self, title: str, num_steps: int | None, console: Console | None = None) -> None:
        self._title = title
        self._num_steps = num_steps
        self._console = console or Console()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[losses]}"),
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

    def show(self, logged: LoggedStep) -> None:
        """Move the bar, or print a line."""
        if self._console.is_terminal:
            self._bar.update(self._task, completed=logged.step, losses=str(logged))
        else:
            of_all = "" if self._num_steps is None else f"/{self._num_steps}"
            self.say(f"step {logged.step}{of_all}  {logged}")

    def say(self, text: str) -> None:
        """Print a sentence above the bar."""
        # Wrapped by nobody: a log file is read by tools that expect one line an event.
        self._console.print(f"{self._title}: {text}", markup=False, highlight=False, soft_wrap=True)
