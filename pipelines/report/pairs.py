"""Every two methods against each other on the same pictures: differences, their intervals, and permutation tests."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import numpy.typing as npt
import torch

from pipelines.report.collect import DatasetResults, MethodResult
from pipelines.report.tables import SCORES, Cell, Score, Table, per_picture
from sgenet.evaluation.metrics import mean_ious
from sgenet.evaluation.statistics import (
    Estimate,
    bootstrap_total,
    holm,
    paired_difference,
    paired_test,
    paired_total_test,
)

_COMPARED = [score for score in SCORES if score.name in ("psnr", "ssim", "l1_hole", "miou")]


def pairs(results: DatasetResults, set_name: str) -> Table | None:
    """The difference of every two methods in every score, and how likely it is by chance.

    Args:
        results: of one dataset.
        set_name: of the holes.
    """
    compared = list(combinations(results.methods, 2))
    if not compared:
        return None
    rows = [[Cell(f"{first.title} − {second.title}")] for first, second in compared]
    for score in _COMPARED:
        measured = [_compare(first, second, set_name, score) for first, second in compared]
        # A family of tests: as many pairs as there are, one of them looks large by chance.
        for row, (difference, _), p in zip(rows, measured, holm([p for _, p in measured]), strict=True):
            row += _cells(score, difference, p)
    columns = [
        "methods",
        *(title for score in _COMPARED for title in (f"Δ {score.title}", f"p {score.title.split()[0]}")),
    ]
    note = (
        "Mean difference over the same pictures with its 95 % bootstrap interval; p of a permutation test that swaps "
        "the two methods' scores of a picture, after Holm's correction over all pairs of a column. Marked: below 0.05."
    )
    return Table(f"Every two methods, holes: {set_name}", columns, rows, note, name=f"pairs-{set_name}")


def _compare(first: MethodResult, second: MethodResult, set_name: str, score: Score) -> tuple[Estimate, float]:
    if any(score.name not in method.metrics[set_name] for method in (first, second)):
        return Estimate(math.nan, math.nan, math.nan, 0), math.nan
    if score.name != "miou":
        ours, theirs = (per_picture(method, set_name, score.name) for method in (first, second))
        return paired_difference(ours, theirs), paired_test(ours, theirs)
    ours, theirs = (method.counts(set_name, "confusion") for method in (first, second))
    return miou_difference(ours, theirs), paired_total_test(ours, theirs, _mious)


def miou_difference(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> Estimate:
    """The mIoU of one method less that of another, with its interval over pictures.

    Args:
        first, second: (N, C, C) counts of the same pictures in the same order.
    """
    return bootstrap_total(np.stack((first, second), axis=1), lambda sums: _mious(sums[:, 0]) - _mious(sums[:, 1]))


def _mious(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = mean_ious(torch.from_numpy(counts)).numpy()
    return values


def _cells(score: Score, difference: Estimate, p: float) -> list[Cell]:
    if math.isnan(difference.value):
        return [Cell("–"), Cell("–")]
    value, low, high = (
        f"{number:+z.{score.decimals}f}" for number in (difference.value, difference.low, difference.high)
    )
    return [Cell(value, f"{low} … {high}"), Cell("< 0.001" if p < 0.001 else f"{p:.3f}", best=p < 0.05)]
