"""Every two methods against each other on the same images: differences, their intervals, and permutation tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

from pipelines.report.collect import DatasetResults, MethodResult
from pipelines.report.tables import SCORES, Cell, Score, Table, difference_cell, miou_difference, per_image, taken
from sgenet.evaluation.metrics import mious_of_counts
from sgenet.evaluation.statistics import (
    Estimate,
    holm,
    paired_difference,
    paired_test,
    paired_total_test,
)

_SCORES = [score for score in SCORES if score.name in ("psnr", "ssim", "vgg_distance", "l1_hole", "miou")]


def pairs(results: DatasetResults, set_name: str) -> Table | None:
    """The difference of every two methods in every score, and how likely it is by chance."""
    compared = list(combinations(results.methods, 2))
    if not compared:
        return None
    rows = [[Cell(f"{first.title} − {second.title}")] for first, second in compared]
    # Some methods have a score of segmentation, and not others; distances were taken of all or of none.
    scores = [score for score in _SCORES if score.name == "miou" or taken(score, results.methods, set_name)]
    for score in scores:
        measured = _measure(compared, set_name, score)
        # A family of tests: as many pairs as there are, one of them looks large by chance.
        for row, (difference, _), p in zip(rows, measured, holm([p for _, p in measured]), strict=True):
            shown = "–" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"
            row += [difference_cell(difference, score.decimals), Cell(shown, best=p < 0.05)]
    titles = [title for score in scores for title in (f"Δ {score.title}", f"p {score.title.split()[0]}")]
    note = (
        "Mean difference over the same images with its 95 % bootstrap interval; p of a permutation test that swaps "
        "the two methods' scores of an image, after Holm's correction over all pairs of a column. Marked: below 0.05."
    )
    return Table(f"Every two methods, holes: {set_name}", ["methods", *titles], rows, note, name=f"pairs-{set_name}")


def _measure(
    compared: Sequence[tuple[MethodResult, MethodResult]], set_name: str, score: Score
) -> list[tuple[Estimate, float]]:
    """The difference of each pair in one score, and its p before any correction; NaN where one has no such score."""
    if score.name == "miou":
        return [_measure_miou(first, second, set_name) for first, second in compared]
    values = {method.name: per_image(method, set_name, score.name) for pair in compared for method in pair}
    tested = [(values[first.name], values[second.name]) for first, second in compared]
    return [(paired_difference(ours, theirs), paired_test(ours, theirs)) for ours, theirs in tested]


def _measure_miou(first: MethodResult, second: MethodResult, set_name: str) -> tuple[Estimate, float]:
    if any("miou" not in method.metrics[set_name] for method in (first, second)):
        return Estimate(math.nan, math.nan, math.nan, 0), math.nan
    ours, theirs = (method.counts(set_name, "confusion") for method in (first, second))
    return miou_difference(ours, theirs), paired_total_test(ours, theirs, mious_of_counts)
