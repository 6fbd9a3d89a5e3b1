"""The scores of every image of one evaluation, and two evaluations laid side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.report.tables import SCORES
from sgenet.errors import DataError, first_line

COUNTED_SCORES = {"miou": "confusion", "miou_hole": "confusion_hole"}
"""Scores that are taken from the confusion counts of all images together, and the counts' columns."""

MEAN_SCORES = tuple(score.name for score in SCORES if score.name not in COUNTED_SCORES)
"""Scores whose value for several images is the mean of theirs."""

Row = tuple[str, str]
"""Mask set and key: what was scored once."""

_SHOWN = 3  # names in a sentence


@dataclass(frozen=True)
class ImageTable:
    """What was measured on each image; arrays have one entry a row, in the same order.

    Attributes:
        rows: what was scored.
        strata: scene complexity of each image.
        scores: by name, NaN where an image has no such score.
        counts: by name of the score, (N, C, C) confusion counts; absent for a method without segmentation.
    """

    rows: tuple[Row, ...]
    strata: tuple[str, ...]
    scores: Mapping[str, npt.NDArray[np.float64]]
    counts: Mapping[str, npt.NDArray[np.int64]] = field(default_factory=dict)


def read_images(path: Path) -> ImageTable:
    """Read the ``images.parquet`` of an evaluation.

    Raises:
        DataError: it is missing, damaged, or has no mask sets, keys and strata.
    """
    try:
        table = pq.read_table(path)
        rows = zip(table["set"].to_pylist(), table["key"].to_pylist(), strict=True)
        scores = {
            name: np.asarray(table[name].to_pylist(), np.float64) for name in MEAN_SCORES if name in table.column_names
        }
        counts = {
            score: _matrices(table[column])
            for score, column in COUNTED_SCORES.items()
            if column in table.column_names and not table[column].null_count
        }
        return ImageTable(tuple(rows), tuple(table["stratum"].to_pylist()), scores, counts)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise DataError(
            f"the scores in {path} cannot be read ({first_line(error)}); evaluate the model again"
        ) from error


def score_problems(champion: ImageTable, challenger: ImageTable) -> list[str]:
    """Why the numbers cannot be compared image by image, a sentence each; empty where they can."""
    if (champion.rows, champion.strata) != (challenger.rows, challenger.strata):
        return ["the two were scored on different images; evaluate both again"]
    problems = []
    for score in MEAN_SCORES:
        if score not in champion.scores:
            continue
        if score not in challenger.scores:
            problems.append(f"the challenger has no {score}, which the champion has")
            continue
        theirs, ours = champion.scores[score], challenger.scores[score]
        # No hole, no score in the hole: that is the same for both. A number for one alone is a fault of the other's.
        for name, missing in (
            ("challenger", ~np.isfinite(ours) & ~(np.isnan(ours) & np.isnan(theirs))),
            ("champion", ~np.isfinite(theirs) & ~(np.isnan(ours) & np.isnan(theirs))),
        ):
            if missing.any():
                where = _named([champion.rows[row] for row in np.flatnonzero(missing)])
                problems.append(f"the {name}'s {score} is not a finite number for {where}")
    return problems


def _matrices(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    flat = np.asarray(column.to_pylist(), np.int64)
    side = math.isqrt(flat.shape[1])
    return flat.reshape(len(flat), side, side)


def _named(rows: list[Row]) -> str:
    names = ", ".join(f"{key} ({mask_set})" for mask_set, key in rows[:_SHOWN])
    return names if len(rows) <= _SHOWN else f"{names} and {len(rows) - _SHOWN} more"
