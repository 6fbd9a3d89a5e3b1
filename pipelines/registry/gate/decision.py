"""What the gate decides, from measurements alone: no file, no registry, no clock.

1. Every invariant holds for the challenger.
2. Both models were scored on the same images, and every score is a number.
3. The primary score is better: the interval of its paired improvement, over all holes, lies above zero.
4. No score is worse beyond its tolerance, for any mask set: over all of a set's images the mean
   decides; within a stratum, which is small and one of many, the interval must lie below zero as well.

Without a champion, a baseline (a method without learning) takes its place, and rule 4 does not apply.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipelines.registry.gate.compare import EVERYTHING, Comparison, by_set_and_stratum, not_compared, pooled
from pipelines.registry.gate.images import ImageTable, score_problems
from pipelines.report.tables import SCORES
from pipelines.settings.params import PromotionSettings


class Verdict(StrEnum):
    """What is said about one comparison."""

    BETTER = "better"
    NOT_WORSE = "not worse"
    WITHIN_CHANCE = "worse, within chance"
    WORSE = "WORSE"
    UNPROVEN = "NOT SHOWN"
    NOT_JUDGED = "not judged"
    TOO_FEW = "too few"


@dataclass(frozen=True)
class Check:
    """Something that must hold for the challenger whatever it is compared with, and what was seen, in words."""

    name: str
    holds: bool
    detail: str


@dataclass(frozen=True)
class Judged:
    """A comparison with what follows from it.

    Attributes:
        tolerance: by how much the score may be worse; 0 for the primary score over all holes.
    """

    comparison: Comparison
    tolerance: float
    verdict: Verdict


@dataclass(frozen=True)
class Decision:
    """Whether the challenger may become champion, and everything that says so.

    Attributes:
        reasons: sentences: for a refusal everything against it, else what speaks for it.
        primary: the comparison that must be won; None where it could not be made.
        comparisons: by mask set, stratum and score.
        notes: what was not compared, and why.
    """

    promote: bool
    reasons: tuple[str, ...]
    primary: Judged | None
    comparisons: tuple[Judged, ...]
    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()


def decide(
    champion: ImageTable,
    challenger: ImageTable,
    rules: PromotionSettings,
    checks: Sequence[Check] = (),
    *,
    against_baseline: bool = False,
) -> Decision:
    """Judge a challenger.

    Args:
        champion: what it is compared with: the champion, or a baseline.
        checks: the invariants, already tried.
        against_baseline: there is no champion yet: only the primary score decides.
    """
    failed = [f"{check.name}: {check.detail}" for check in checks if not check.holds]
    problems = score_problems(champion, challenger) + _primary_problems(champion, challenger, rules.primary)
    if problems:
        return Decision(False, (*failed, *problems), None, (), tuple(checks))
    primary = _judge_primary(pooled(rules.primary, champion, challenger), rules)
    comparisons = tuple(
        _judge(comparison, rules, against_baseline) for comparison in by_set_and_stratum(champion, challenger)
    )
    against = [*failed, *_objections((primary, *comparisons))]
    return Decision(
        promote=not against,
        reasons=tuple(against) or (_merits(primary, comparisons, against_baseline),),
        primary=primary,
        comparisons=comparisons,
        checks=tuple(checks),
        notes=tuple(not_compared(champion, challenger, against_baseline)),
    )


def title(score: str) -> str:
    """A score's name in sentences."""
    return next(item.title.rstrip(" ↑↓") for item in SCORES if item.name == score)


def signed(score: str, value: float) -> str:
    """A difference of a score, with its sign and the decimals that the tables use."""
    decimals = next(item.decimals for item in SCORES if item.name == score)
    return f"{value:+z.{decimals}f}"


def interval(comparison: Comparison) -> str:
    """The improvement's interval in words."""
    low, high = (signed(comparison.score, bound) for bound in (comparison.improvement.low, comparison.improvement.high))
    return f"{low} … {high}"


def _primary_problems(champion: ImageTable, challenger: ImageTable, primary: str) -> list[str]:
    return [
        f"the {name} has no {primary}, the primary score"
        for name, table in (("champion", champion), ("challenger", challenger))
        if primary not in table.scores
    ]


def _judge_primary(comparison: Comparison, rules: PromotionSettings) -> Judged:
    if comparison.improvement.num_images < rules.min_images:
        return Judged(comparison, 0.0, Verdict.TOO_FEW)
    shown = comparison.improvement.low > 0
    return Judged(comparison, 0.0, Verdict.BETTER if shown else Verdict.UNPROVEN)


def _judge(comparison: Comparison, rules: PromotionSettings, against_baseline: bool) -> Judged:
    tolerance: float = getattr(rules.tolerances, comparison.score)
    improvement = comparison.improvement
    if against_baseline:
        verdict = Verdict.NOT_JUDGED
    elif comparison.stratum != EVERYTHING and improvement.num_images < rules.min_images:
        verdict = Verdict.TOO_FEW
    elif improvement.value < -tolerance:
        by_chance = comparison.stratum != EVERYTHING and not improvement.high < 0
        verdict = Verdict.WITHIN_CHANCE if by_chance else Verdict.WORSE
    else:
        verdict = Verdict.BETTER if improvement.low > 0 else Verdict.NOT_WORSE
    return Judged(comparison, tolerance, verdict)


def _objections(judged: Iterable[Judged]) -> list[str]:
    """A sentence for everything that refuses the challenger; ``judged`` starts with the primary score."""
    sentences = []
    for number, item in enumerate(judged):
        comparison = item.comparison
        name, count = title(comparison.score), comparison.improvement.num_images
        change = f"{signed(comparison.score, comparison.improvement.value)} [{interval(comparison)}]"
        if number == 0 and item.verdict is Verdict.TOO_FEW:
            sentences.append(f"{name} was scored on {count} images, too few to tell anything from chance")
        elif item.verdict is Verdict.UNPROVEN:
            sentences.append(
                f"{name} is not shown to be better: {change} over {count} images; the interval must lie above zero"
            )
        elif item.verdict is Verdict.WORSE:
            where = "" if comparison.stratum == EVERYTHING else f" in {comparison.stratum} scenes"
            sentences.append(
                f"{name}{where} is worse with the holes '{comparison.mask_set}': {change} over {count} images, "
                f"beyond the tolerance of {item.tolerance:g}"
            )
    return sentences


def _merits(primary: Judged, comparisons: Sequence[Judged], against_baseline: bool) -> str:
    comparison = primary.comparison
    won = (
        f"{title(comparison.score)} is better: {signed(comparison.score, comparison.improvement.value)} "
        f"[{interval(comparison)}] over {comparison.improvement.num_images} images of all sets of holes"
    )
    if against_baseline:
        return f"{won}, against a baseline; there is no champion yet"
    doubtful = sum(item.verdict is Verdict.WITHIN_CHANCE for item in comparisons)
    doubt = f" ({doubtful} within strata are, but no more than chance explains)" if doubtful else ""
    return f"{won}, and no score is worse beyond its tolerance{doubt}"
