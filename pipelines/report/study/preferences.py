"""How often one method's filling was preferred over another's, and how sure that is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import scipy.stats

from pipelines.report.study.plan import Pair
from pipelines.report.study.votes import Choice, Vote
from sgenet.evaluation.strata import STRATA, UNLABELLED

ALL = "all"
"""The stratum of every image together."""

LEVEL = 0.95


@dataclass(frozen=True)
class Preference:
    """One method against another on the images of one stratum.

    Attributes:
        stratum: complexity of the scenes, or :data:`ALL`.
        preferred: votes for ``row``.
        against: votes for ``column``.
        ties: answers of those who could not tell.
    """

    mask_set: str
    stratum: str
    row: str
    column: str
    preferred: int
    against: int
    ties: int

    @property
    def decided(self) -> int:
        """Votes for one of the two."""
        return self.preferred + self.against

    @property
    def share(self) -> float:
        """The share of the decided votes that are for ``row``, 0–1; NaN where none is decided."""
        return self.preferred / self.decided if self.decided else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Bounds of the share; see :func:`wilson_interval`."""
        return wilson_interval(self.preferred, self.decided)


def wilson_interval(successes: int, trials: int) -> tuple[float, float]:
    """Score interval of a share at :data:`LEVEL` (Wilson 1927): honest at 0 and 1, and for few trials.

    Returns:
        NaNs where there is no trial.
    """
    if trials == 0:
        return math.nan, math.nan
    low, high = scipy.stats.binomtest(successes, trials).proportion_ci(LEVEL, "wilson")
    return float(low), float(high)


def count_preferences(pairs: Iterable[Pair], votes: Iterable[Vote]) -> list[Preference]:
    """Both directions of every two methods with votes: by mask set, over all images and by stratum.

    Votes on other pairs do not count.
    """
    by_key = {pair.key: pair for pair in pairs}
    counts: dict[tuple[str, str, str, str], Counter[Choice]] = {}
    for vote in votes:
        pair = by_key.get(vote.pair)
        if pair is None:
            continue
        for stratum in (ALL, pair.stratum):
            group = (pair.mask_set, stratum, pair.first, pair.second)
            counts.setdefault(group, Counter())[vote.choice] += 1
    order = {name: number for number, name in enumerate((ALL, *STRATA, UNLABELLED))}
    groups = sorted(counts, key=lambda group: (group[0], order[group[1]], *group[2:]))
    return [preference for group in groups for preference in _both(group, counts[group])]


def _both(group: tuple[str, str, str, str], count: Mapping[Choice, int]) -> Iterator[Preference]:
    mask_set, stratum, first, second = group
    one, other, ties = (count[choice] for choice in (Choice.FIRST, Choice.SECOND, Choice.TIE))
    yield Preference(mask_set, stratum, first, second, one, other, ties)
    yield Preference(mask_set, stratum, second, first, other, one, ties)
