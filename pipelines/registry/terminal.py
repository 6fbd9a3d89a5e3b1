"""The history of a registered model's champions on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from pipelines.registry.champions import ChampionMove
from pipelines.registry.decisions import RecordedDecision


def moves_grid(entries: Sequence[ChampionMove]) -> Grid:
    """Every move of ``champion``, the latest last."""
    grid = Grid(title="Champions", title_justify="left", title_style="bold", show_lines=True)
    for column in ("when (UTC)", "champion", "how", "why"):
        grid.add_column(column)
    for entry in entries:
        change = f"{entry.before or '–'} → {entry.after or '–'}"
        why = Text(entry.reason)
        if entry.evidence:
            why.append(f"\n{entry.evidence}/decision.md", "dim")
        grid.add_row(entry.at[:16].replace("T", " "), Text(change, "bold"), f"{entry.kind} by {entry.by}", why)
    return grid


def decisions_grid(decisions: Sequence[tuple[str, RecordedDecision]]) -> Grid:
    """The last decision about each version."""
    styles = {"promote": "green", "refuse": "red"}
    grid = Grid(title="What the gate decided", title_justify="left", title_style="bold", show_lines=True)
    for column in ("version", "when (UTC)", "decision", "against", "why"):
        grid.add_column(column)
    for version, record in decisions:
        why = Text(record.reasons).append(f"\n{record.evidence}/decision.md", "dim")
        decision = Text(record.decision, styles.get(record.decision, "default"))
        grid.add_row(version, record.at[:16].replace("T", " "), decision, record.against, why)
    return grid


def show(part: RenderableType) -> None:
    """Print a table or a sentence: as wide as the terminal, or 100 columns into a file or pipe."""
    console = Console()
    # A sentence is left to the terminal to wrap, which keeps its addresses whole for whoever copies them.
    console.print(part, width=None if console.is_terminal else 100, soft_wrap=isinstance(part, Text))
