"""Stage ``report``: one page, one table and one metrics file for everything that was evaluated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as TerminalTable

from pipelines.files import publish_folder
from pipelines.layout import StudyPaths
from pipelines.params import Settings
from pipelines.report.collect import DatasetResults, collect
from pipelines.report.formats import FORMATS, to_markdown
from pipelines.report.page import render
from pipelines.report.paper import published
from pipelines.report.tables import Cell, Table, ablation, breakdowns, confidence, costs, headline, headroom
from pipelines.study.results import report_tables

PAGE = "index.html"
TABLES = "tables"

# In 80 characters, costs stand in a table below the scores, without how fast the data came.
_NUM_COSTS = 6


def run(settings: Settings, output: Path) -> None:
    """Read every evaluation under ``runs/``, write the report, and print its main tables.

    Args:
        settings: which datasets and methods, in which order.
        output: folder to write: ``index.html`` (self-contained), ``table.md`` with the main tables, ``metrics.json``,
            ``{dataset: {method: {set: {score: mean}}}}``, and every table of the page by itself as
            ``tables/<dataset>-<table>.md``, ``.csv`` and ``.tex``.

    Raises:
        DataError: nothing was evaluated, an evaluation is damaged, or methods were evaluated on
            different data.
    """
    datasets = collect(settings)
    metrics = {results.name: {method.name: method.metrics for method in results.methods} for results in datasets}
    with publish_folder(output) as folder:
        (folder / PAGE).write_text(render(settings, datasets), encoding="utf-8")
        (folder / "table.md").write_text(_markdown(settings, datasets), encoding="utf-8")
        _write_tables(settings, datasets, folder / TABLES)
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    console = Console()
    for results in datasets:
        for set_name in results.sets:
            console.print(_for_terminal(results.name, headline(results, set_name, with_costs=False)))
        if cost_table := costs(results):
            console.print(_for_terminal(results.name, _first_columns(cost_table, _NUM_COSTS)))
    console.print(f"The report is at {output / PAGE}", soft_wrap=True)


def _write_tables(settings: Settings, datasets: list[DatasetResults], folder: Path) -> None:
    folder.mkdir()
    for results in datasets:
        for table in _all_tables(settings, results):
            for ending, as_text in FORMATS.items():
                (folder / f"{results.name}-{table.name}.{ending}").write_text(as_text(table), encoding="utf-8")


def _all_tables(settings: Settings, results: DatasetResults) -> list[Table]:
    tables: list[Table | None] = [costs(results), confidence(results)]
    for set_name in results.sets:
        paper = published(settings, results.name, set_name)
        tables += [
            headline(results, set_name, published=paper),
            ablation(results, set_name),
            headroom(results, set_name),
        ]
        tables += breakdowns(results, set_name)
    return [table for table in tables if table is not None]


def _markdown(settings: Settings, datasets: list[DatasetResults]) -> str:
    parts = []
    for results in datasets:
        parts.append(f"## {results.name}\n")
        for set_name in results.sets:
            paper = published(settings, results.name, set_name)
            parts.append(to_markdown(headline(results, set_name, published=paper)))
            if compared := ablation(results, set_name):
                parts.append(to_markdown(compared))
        study, note = report_tables(results, StudyPaths(results.name).results)
        parts += [*map(to_markdown, study), *([f"{note}\n"] if note else [])]
    return "\n".join(parts)


def _first_columns(table: Table, count: int) -> Table:
    return replace(table, columns=table.columns[:count], rows=[row[:count] for row in table.rows])


def _for_terminal(dataset: str, table: Table) -> TerminalTable:
    title = f"{dataset} · {table.title}"
    terminal_table = TerminalTable(
        title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    for index, column in enumerate(table.columns):
        # One word a line: nine scores fit into 80 characters.
        terminal_table.add_column(
            column.replace(" ", "\n"), justify="left" if index == 0 else "right", no_wrap=True, overflow="ignore"
        )
    for row in table.rows:
        terminal_table.add_row(*(_for_terminal_cell(cell) for cell in row))
    return terminal_table


def _for_terminal_cell(cell: Cell) -> str:
    return f"[bold green]{cell.text}[/]" if cell.best else cell.text
