"""The history of a registered model's champions on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from pipelines.registry.champions import ChampionMove
from pipelines.registry.decisions import RecordedDecision

_DATE = 10  # characters: the time wraps below the date and leaves the width to the reasons


def moves_grid(entries: Sequence[ChampionMove]) -> Grid:
    """Every move of ``champion``, the latest last."""
    grid = Grid(title="Champions", title_justify="left", title_style="bold", show_lines=True)
    for column, width in (("when (UTC)", _DATE), ("champion", None), ("how", 13), ("why", None)):
        grid.add_column(column, max_width=width)
    for entry in entries:
        change = f"{entry.before or '–'} → {entry.after or '–'}"
        how = f"{entry.kind} by {entry.by}"
        grid.add_row(entry.at[:16].replace("T", " "), Text(change, "bold"), how, Text(entry.reason))
    return grid


def decisions_grid(decisions: Sequence[tuple[str, RecordedDecision]]) -> Grid:
    """The last decision about each version, a row each with the first of its reasons."""
    styles = {"promote": "green", "refuse": "red"}
    grid = Grid(title="What the gate decided", title_justify="left", title_style="bold", show_lines=True)
    for column, width in (("version", None), ("when (UTC)", _DATE), ("decision", None), ("against", 13), ("why", None)):
        grid.add_column(column, max_width=width)
    for version, record in decisions:
        first, more = record.reasons.split("\n", 1)[0], record.num_reasons - 1
        why = Text(first).append(f"\nand {more} more" if more > 0 else "", "dim")
        decision = Text(record.decision, styles.get(record.decision, "default"))
        grid.add_row(version, record.at[:16].replace("T", " "), decision, record.against, why)
    return grid


def show(part: RenderableType) -> None:
    """Print a table or a sentence: as wide as the terminal, or 100 columns into a file or pipe."""
    console = Console()
    # A sentence is left to the terminal to wrap, which keeps its addresses whole for whoever copies them.
    console.print(part, width=None if console.is_terminal else 100, soft_wrap=isinstance(part, Text))
