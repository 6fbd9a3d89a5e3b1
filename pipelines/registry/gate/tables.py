"""A judgement to read: on a terminal, as Markdown, as JSON; all three show the same numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table as Grid
from rich.text import Text

from pipelines.registry.gate.compare import EVERYTHING
from pipelines.registry.gate.decision import Check, Decision, Judged, Verdict, interval, signed
from pipelines.registry.gate.gate import Judgement
from pipelines.report.formats import to_markdown
from pipelines.report.tables import SCORES, Cell, Table

_MARKS = {
    Verdict.BETTER: ("✓", "green"),
    Verdict.NOT_WORSE: ("·", "default"),
    Verdict.WITHIN_CHANCE: ("~", "yellow"),
    Verdict.WORSE: ("✗", "bold red"),
    Verdict.UNPROVEN: ("✗", "bold red"),
    Verdict.NOT_JUDGED: (" ", "dim"),
    Verdict.TOO_FEW: ("?", "dim"),
}
_LEGEND = "✓ better  · not worse  ~ worse, within chance  ✗ refused  ? too few images to judge"
_ALL = "all scenes"
_FIRST_REASONS = 5
"""Of a refusal, in words; the tables above show all."""


def to_terminal(name: str, judgement: Judgement) -> RenderableType:
    """The judgement for :func:`rich.print`, 100 columns wide."""
    decision = judgement.decision
    parts: list[RenderableType] = [_checks_grid(decision.checks)]
    if judgement.rescored_because:
        parts.append(Text(f"Both were evaluated again: {judgement.rescored_because}.", "yellow"))
    if decision.primary is not None:
        parts.append(_primary_grid(judgement, decision.primary))
    parts += [_grid(mask_set, decision) for mask_set in _sets(decision)]
    if decision.comparisons:
        parts.append(Text(f"Differences: + is better, whatever the score. {_LEGEND}", "dim"))
    parts += [Text(f"Not compared: {note}.", "dim") for note in decision.notes]
    parts.append(_verdict(decision))
    title = Text(f"{name}: version {judgement.challenger} against {judgement.opponent}", "bold")
    return Group(title, *parts)


def to_document(name: str, judgement: Judgement) -> str:
    """The judgement as Markdown, with every interval."""
    decision = judgement.decision
    verdict = "passes" if decision.promote else "does not pass"
    lines = [f"# {name}: version {judgement.challenger} {verdict} against {judgement.opponent}", ""]
    lines += [f"- {reason}" for reason in decision.reasons]
    lines += ["", "## Invariants", "", "| check | holds | seen |", "| --- | --- | --- |"]
    lines += [f"| {check.name} | {'yes' if check.holds else '**no**'} | {check.detail} |" for check in decision.checks]
    lines += ["", "## Scores", ""]
    lines += [f"Both were evaluated again: {judgement.rescored_because}.", ""] if judgement.rescored_because else []
    lines += [f"Scored on: {', '.join(f'{key} `{value}`' for key, value in judgement.identity.items())}", ""]
    if decision.primary is not None:
        lines += [to_markdown(_table("Primary score, all holes", [decision.primary], judgement))]
    for mask_set in _sets(decision):
        rows = [judged for judged in decision.comparisons if judged.comparison.mask_set == mask_set]
        lines += [to_markdown(_table(f"Holes: {mask_set}", rows, judgement))]
    lines += [f"Not compared: {note}." for note in decision.notes]
    return "\n".join(lines).rstrip("\n") + "\n"


def to_json(name: str, judgement: Judgement, **more: Any) -> str:
    """Everything, for machines; a number that does not exist is null."""
    content = {"model": name, **more, **asdict(judgement)}
    return json.dumps(_without_nan(content), indent=2, ensure_ascii=False) + "\n"


def _verdict(decision: Decision) -> Panel:
    if decision.promote:
        return Panel(Text("\n".join(decision.reasons)), title="passes", border_style="green")
    # Where nothing could be compared, the reasons are in no table.
    first = decision.reasons[:_FIRST_REASONS] if decision.comparisons else decision.reasons
    lines = [f"✗ {reason}" for reason in first]
    if more := len(decision.reasons) - len(first):
        lines.append(f"and {more} more, each marked ✗ above")
    return Panel(Text("\n".join(lines)), title="does not pass", border_style="red")


def _checks_grid(checks: Iterable[Check]) -> Grid:
    grid = Grid(box=None, show_header=False, padding=(0, 1))
    for check in checks:
        mark = Text("✓", "green") if check.holds else Text("✗", "bold red")
        grid.add_row(mark, check.name, Text(check.detail, "dim" if check.holds else "red"))
    return grid


def _primary_grid(judgement: Judgement, primary: Judged) -> Grid:
    comparison = primary.comparison
    score = _score(comparison.score)
    grid = Grid(title=f"Primary score: {score.title}", title_justify="left", title_style="bold")
    for column in (judgement.opponent, f"version {judgement.challenger}", "difference", "95 % interval", "images"):
        grid.add_column(column, justify="right")
    grid.add_row(
        score.format(comparison.champion),
        score.format(comparison.challenger),
        _marked(primary),
        interval(comparison),
        str(comparison.improvement.num_images),
    )
    return grid


def _grid(mask_set: str, decision: Decision) -> Grid:
    """Scores down, strata across."""
    judged = [item for item in decision.comparisons if item.comparison.mask_set == mask_set]
    strata = list(dict.fromkeys(item.comparison.stratum for item in judged))
    cells = {(item.comparison.score, item.comparison.stratum): item for item in judged}
    grid = Grid(title=f"Holes: {mask_set}", title_justify="left", title_style="bold")
    grid.add_column("score")
    for column in ("before", "now"):
        grid.add_column(column, justify="right")
    for stratum in strata:
        count = max(item.comparison.improvement.num_images for item in judged if item.comparison.stratum == stratum)
        grid.add_column(f"{_ALL if stratum == EVERYTHING else stratum} ({count})", justify="right")
    for score in SCORES:
        whole = cells.get((score.name, EVERYTHING))
        if whole is None:
            continue
        before, now = score.format(whole.comparison.champion), score.format(whole.comparison.challenger)
        rest = [cells.get((score.name, stratum)) for stratum in strata]
        grid.add_row(score.title, before, now, *(Text("–", "dim") if item is None else _marked(item) for item in rest))
    return grid


def _marked(judged: Judged) -> Text:
    mark, style = _MARKS[judged.verdict]
    return Text(f"{signed(judged.comparison.score, judged.comparison.improvement.value)} {mark}", style)


def _table(title: str, rows: Sequence[Judged], judgement: Judgement) -> Table:
    columns = ["score", "scenes", "N", judgement.opponent, f"version {judgement.challenger}"]
    columns += ["improvement", "may be worse by", "verdict"]
    return Table(title, columns, [_row(judged) for judged in rows])


def _row(judged: Judged) -> list[Cell]:
    comparison = judged.comparison
    score = _score(comparison.score)
    return [
        Cell(score.title),
        Cell("all" if comparison.stratum == EVERYTHING else comparison.stratum),
        Cell(str(comparison.improvement.num_images)),
        Cell(score.format(comparison.champion)),
        Cell(score.format(comparison.challenger)),
        Cell(signed(comparison.score, comparison.improvement.value), interval(comparison)),
        Cell(f"{judged.tolerance:g}"),
        Cell(judged.verdict),
    ]


def _score(name: str) -> Any:
    return next(score for score in SCORES if score.name == name)


def _sets(decision: Decision) -> list[str]:
    return list(dict.fromkeys(judged.comparison.mask_set for judged in decision.comparisons))


def _without_nan(content: Any) -> Any:
    match content:
        case dict():
            return {key: _without_nan(value) for key, value in content.items()}
        case list() | tuple():
            return [_without_nan(value) for value in content]
        case float() if not math.isfinite(content):
            return None
        case _:
            return content
