"""Stage ``report``: one page, one table and one metrics file for everything that was evaluated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as TerminalTable

from pipelines.report.collect import collect
from pipelines.report.formats import FORMATS, to_markdown
from pipelines.report.page import Page, make_page, render
from pipelines.report.tables import Cell, Table, costs, headline
from pipelines.settings.params import Settings
from pipelines.storage.files import publish_folder

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
    page = make_page(settings, datasets)
    metrics = {results.name: {method.name: method.metrics for method in results.methods} for results in datasets}
    with publish_folder(output) as folder:
        (folder / PAGE).write_text(render(page), encoding="utf-8")
        (folder / "table.md").write_text(_markdown(page), encoding="utf-8")
        _write_tables(page, folder / TABLES)
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    console = Console()
    for results in datasets:
        for set_name in results.sets:
            console.print(_for_terminal(results.name, headline(results, set_name, with_costs=False)))
        if cost_table := costs(results):
            console.print(_for_terminal(results.name, _first_columns(cost_table, _NUM_COSTS)))
    console.print(f"The report is at {output / PAGE}", soft_wrap=True)


def _write_tables(page: Page, folder: Path) -> None:
    folder.mkdir()
    named = {f"{section.name}-{table.name}": table for section in page.sections for table in section.tables}
    named |= {table.name: table for table in page.label_sources}
    for name, table in named.items():
        for ending, as_text in FORMATS.items():
            (folder / f"{name}.{ending}").write_text(as_text(table), encoding="utf-8")


def _markdown(page: Page) -> str:
    parts = []
    for section in page.sections:
        parts.append(f"## {section.name}\n")
        main = (*section.headline, *section.ablation, *section.segmentation, *section.study)
        parts += map(to_markdown, main)
        parts += [f"{section.study_note}\n"] if section.study_note else []
        parts += [to_markdown(section.labels)] if section.labels else []
    if page.label_sources:
        parts += ["## Labels\n", *map(to_markdown, page.label_sources)]
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
