"""What a logical training recorded, each step once however often it was interrupted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from pipelines.storage.csv_text import csv_text
from sgenet.errors import CheckpointError

BEST_BY = ("psnr_hole", "miou")
"""The best checkpoint has the highest value of the first of these scores that was recorded: the first is of inpainting
methods, the second of segmenters."""


@dataclass(frozen=True)
class LossRow:
    """The mean losses of the steps since the row before, and their time.

    Attributes:
        terms: named loss terms, averaged over the global batches of these steps.
        timed_steps: how many steps ``seconds`` covers.
        seconds: spent in these steps, waiting for data included.
        data_wait_seconds: of these, spent waiting for data.
    """

    step: int
    terms: Mapping[str, float]
    timed_steps: int
    seconds: float
    data_wait_seconds: float


@dataclass(frozen=True)
class ValidationRow:
    """The validation scores after a step."""

    step: int
    scores: Mapping[str, float]


@dataclass
class History:
    """Every logged step of a logical training, in order.

    It is stored beside the checkpoints. Rows after the checkpoint that a run resumes from are
    dropped, because those steps are run again.
    """

    losses: list[LossRow] = field(default_factory=list)
    validations: list[ValidationRow] = field(default_factory=list)
    unfinished: dict[int, list[Mapping[str, float]]] = field(default_factory=dict)
    """By the step of a checkpoint: the terms of the steps after its last row, so that the next row is the same mean
    after a resume."""

    def add_losses(self, row: LossRow) -> None:
        """Append a row; its step must lie after the last one's."""
        _check_order(self.losses, row)
        self.losses.append(row)

    def add_validation(self, row: ValidationRow) -> None:
        """Append a row; its step must lie after the last one's."""
        _check_order(self.validations, row)
        self.validations.append(row)

    def rewind(self, step: int) -> None:
        """Forget what lies after ``step``."""
        self.losses = [row for row in self.losses if row.step <= step]
        self.validations = [row for row in self.validations if row.step <= step]
        self.unfinished = {at: terms for at, terms in self.unfinished.items() if at <= step}

    def copy(self) -> History:
        """One that does not change when rows are added to this one."""
        return History(list(self.losses), list(self.validations), dict(self.unfinished))

    @property
    def best(self) -> ValidationRow | None:
        """The validation that is highest by :data:`BEST_BY`, the earliest of several; None before the first."""
        for name in BEST_BY:
            if any(name in row.scores for row in self.validations):
                scored = [row for row in self.validations if row.scores.get(name, math.nan) >= -math.inf]
                return max(scored, key=lambda row: row.scores[name], default=None)
        return None

    @property
    def seconds(self) -> float:
        """Time spent in training steps, over all interruptions."""
        return sum(row.seconds for row in self.losses)

    @property
    def data_wait_share(self) -> float:
        """Share of :attr:`seconds` spent waiting for data, 0 … 1."""
        return sum(row.data_wait_seconds for row in self.losses) / self.seconds if self.seconds else 0.0

    @property
    def steps_per_second(self) -> float:
        """Optimizer steps in a second of :attr:`seconds`."""
        return sum(row.timed_steps for row in self.losses) / self.seconds if self.seconds else 0.0

    def to_json_lines(self) -> bytes:
        """One JSON object a row; floats survive the round trip to the bit."""
        rows = [{"kind": "losses", **asdict(row)} for row in self.losses]
        rows += [{"kind": "validation", **asdict(row)} for row in self.validations]
        rows += [{"kind": "unfinished", "step": step, "terms": terms} for step, terms in self.unfinished.items()]
        return "".join(json.dumps(row) + "\n" for row in rows).encode()

    @classmethod
    def from_json_lines(cls, data: bytes) -> History:
        """Read what :meth:`to_json_lines` wrote.

        Raises:
            CheckpointError: when a line is not a row.
        """
        history = cls()
        for number, line in enumerate(data.decode("utf-8", errors="replace").splitlines(), start=1):
            try:
                row = json.loads(line)
                match row.pop("kind"):
                    case "losses":
                        history.add_losses(LossRow(**row))
                    case "validation":
                        history.add_validation(ValidationRow(**row))
                    case "unfinished":
                        history.unfinished[row["step"]] = row["terms"]
                    case kind:
                        raise ValueError(f"unknown kind {kind!r}")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise CheckpointError(
                    f"line {number} of the stored loss history is damaged ({error}); "
                    "delete the run's checkpoint folder to train from the start"
                ) from None
        return history

    def losses_csv(self) -> str:
        """A table with the columns ``step`` and one for each loss term."""
        return _to_csv([(row.step, row.terms) for row in self.losses])

    def validation_csv(self) -> str:
        """A table with the columns ``step`` and one for each score."""
        return _to_csv([(row.step, row.scores) for row in self.validations])


def _check_order(rows: Sequence[LossRow | ValidationRow], row: LossRow | ValidationRow) -> None:
    if rows and row.step <= rows[-1].step:
        raise ValueError(f"step {row.step} is recorded after step {rows[-1].step}")


def _to_csv(rows: Sequence[tuple[int, Mapping[str, float]]]) -> str:
    names = list(dict.fromkeys(name for _, values in rows for name in values))
    return csv_text(["step", *names], ([step, *(values.get(name, "") for name in names)] for step, values in rows))
