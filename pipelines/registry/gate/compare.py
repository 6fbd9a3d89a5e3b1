"""Challenger against champion, score by score: every difference is taken image by image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipelines.registry.gate.images import COUNTED_SCORES, MEAN_SCORES, ImageTable
from pipelines.report.tables import SCORES
from sgenet.evaluation.evaluator import finite_mean
from sgenet.evaluation.metrics import miou_differences, mious_of_counts
from sgenet.evaluation.statistics import Estimate, bootstrap_total, mean_estimate
from sgenet.evaluation.strata import STRATA, UNLABELLED

EVERYTHING = "all"
"""Stands for all mask sets, or for all strata."""

_HIGHER_IS_BETTER = {score.name: score.higher_is_better for score in SCORES}

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Comparison:
    """One score of the two models over the same images.

    Attributes:
        mask_set, stratum: which images; :data:`EVERYTHING` where not restricted.
        champion, challenger: the score itself.
        improvement: by how much the challenger is better, whichever end of the score is good, with its
            paired bootstrap interval; images are drawn, each with all of its holes.
    """

    score: str
    mask_set: str
    stratum: str
    champion: float
    challenger: float
    improvement: Estimate


def pooled(score: str, champion: ImageTable, challenger: ImageTable) -> Comparison:
    """One score over all holes: the unit is the image, whose improvement is the mean over its holes.

    Two holes in one image are not two independent observations; counting them so would make the
    interval too narrow.
    """
    differences = _improvements(score, champion, challenger)
    by_image: dict[str, list[float]] = {}
    for (_, key), difference in zip(champion.rows, differences, strict=True):
        by_image.setdefault(key, []).append(float(difference))
    estimate = mean_estimate([finite_mean(values) for values in by_image.values()])
    return Comparison(
        score,
        EVERYTHING,
        EVERYTHING,
        finite_mean(champion.scores[score].tolist()),
        finite_mean(challenger.scores[score].tolist()),
        estimate,
    )


def by_set_and_stratum(champion: ImageTable, challenger: ImageTable) -> list[Comparison]:
    """Every score that both have, for each mask set: over all its images, then stratum by stratum.

    What no image of a group has (no label, no hole) is left out.
    """
    found = []
    for mask_set, stratum, rows in _groups(champion):
        for score in _shared_scores(champion, challenger):
            comparison = _compare(score, mask_set, stratum, champion, challenger, rows)
            if not math.isnan(comparison.improvement.value):
                found.append(comparison)
    return found


def not_compared(champion: ImageTable, challenger: ImageTable, against_baseline: bool = False) -> list[str]:
    """Scores that only one of the two has, or that mean different things, a sentence each.

    Args:
        against_baseline: there is no champion, and its place is taken by a method without learning.
    """
    opponent = "baseline" if against_baseline else "champion"
    notes = [f"{score}: the {opponent} has none" for score in challenger.scores if score not in champion.scores]
    for score in COUNTED_SCORES:
        lacking = [
            name for name, table in ((opponent, champion), ("challenger", challenger)) if score not in table.counts
        ]
        if lacking:
            if len(lacking) == 1:
                notes.append(f"{score}: the {lacking[0]} predicts no segmentation")
        elif champion.counts[score].shape != challenger.counts[score].shape:
            notes.append(f"{score}: the two predict different classes")
    return notes


def _compare(
    score: str, mask_set: str, stratum: str, champion: ImageTable, challenger: ImageTable, rows: Rows
) -> Comparison:
    if score in COUNTED_SCORES:
        pair = np.stack([challenger.counts[score][rows], champion.counts[score][rows]], axis=1)
        ours, theirs = mious_of_counts(pair.sum(axis=0)).tolist()
        return Comparison(score, mask_set, stratum, theirs, ours, bootstrap_total(pair, miou_differences))
    theirs, ours = (finite_mean(table.scores[score][rows].tolist()) for table in (champion, challenger))
    estimate = mean_estimate(_improvements(score, champion, challenger)[rows])
    return Comparison(score, mask_set, stratum, theirs, ours, estimate)


def _improvements(score: str, champion: ImageTable, challenger: ImageTable) -> npt.NDArray[np.float64]:
    difference = challenger.scores[score] - champion.scores[score]
    return difference if _HIGHER_IS_BETTER[score] else -difference


def _shared_scores(champion: ImageTable, challenger: ImageTable) -> list[str]:
    shared = [score for score in MEAN_SCORES if score in champion.scores and score in challenger.scores]
    for score in COUNTED_SCORES:
        both = [table.counts[score] for table in (champion, challenger) if score in table.counts]
        if len(both) == 2 and both[0].shape == both[1].shape:
            shared.append(score)
    return shared


def _groups(table: ImageTable) -> Iterator[tuple[str, str, Rows]]:
    sets = np.array([mask_set for mask_set, _ in table.rows])
    strata = np.array(table.strata)
    for mask_set in dict.fromkeys(sets.tolist()):
        yield mask_set, EVERYTHING, np.flatnonzero(sets == mask_set)
        for stratum in (*STRATA, UNLABELLED):
            rows = np.flatnonzero((sets == mask_set) & (strata == stratum))
            if len(rows):
                yield mask_set, stratum, rows
