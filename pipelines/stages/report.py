"""Stage ``report``: one page and its tables for everything that was evaluated."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as TerminalTable

from pipelines.report.collect import collect
from pipelines.report.formats import FORMATS, to_markdown
from pipelines.report.page import Page, make_page, render
from pipelines.report.tables import Cell, Table, costs, headline
from pipelines.settings.params import Settings
from pipelines.storage.files import publish_folder

PAGE = "index.html"
TABLES = "tables"
PLOTS = "plots"

_ANY_WIDTH = 10_000


def run(settings: Settings, output: Path, made: date | None = None) -> None:
    """Read every evaluation under ``runs/``, write the report, and print its main tables.

    Args:
        settings: which datasets and methods, in which order.
        output: folder to write: ``index.html`` (self-contained), ``table.md`` with the main tables, and every table
            of the page by itself as ``tables/<dataset>-<table>.md``, ``.csv`` and ``.tex``; every plot as
            ``plots/<dataset>-<plot>.svg``, which ``dvc plots show`` shows without a network.
        made: the day that the page names; today where None.

    Raises:
        DataError: nothing was evaluated, an evaluation is damaged, or methods were evaluated on
            different data.
    """
    datasets = collect(settings)
    page = make_page(settings, datasets, made or date.today())
    with publish_folder(output) as folder:
        (folder / PAGE).write_text(render(page), encoding="utf-8")
        (folder / "table.md").write_text(_markdown(page), encoding="utf-8")
        _write_tables(page, folder / TABLES)
        _write_plots(page, folder / PLOTS)
    console = Console()
    for results, section in zip(datasets, page.sections, strict=True):
        for set_name, sentences in section.summary.items():
            console.print(_for_terminal(results.name, headline(results, set_name), console))
            for sentence in sentences:
                console.print(sentence, highlight=False)
            console.print()
        if cost_table := costs(results):
            console.print(_for_terminal(results.name, cost_table, console))
    console.print(f"The report is at {output / PAGE}", soft_wrap=True)


def _write_tables(page: Page, folder: Path) -> None:
    folder.mkdir()
    named = {
        f"{section.name}-{table.name}": table
        for section in page.sections
        for several in section.tables.values()
        for table in several
    }
    named |= {table.name: table for table in page.label_sources}
    for name, table in named.items():
        for ending, as_text in FORMATS.items():
            (folder / f"{name}.{ending}").write_text(as_text(table), encoding="utf-8")


def _write_plots(page: Page, folder: Path) -> None:
    folder.mkdir()
    for section in page.sections:
        for name, drawing in section.plots.items():
            (folder / f"{section.name}-{name}.svg").write_text(drawing, encoding="utf-8")


def _markdown(page: Page) -> str:
    parts = []
    for section in page.sections:
        parts.append(f"## {section.name}\n")
        for set_name, sentences in section.summary.items():
            parts += [f"Holes: {set_name}\n", *(f"- {sentence}" for sentence in sentences), ""]
        for name in ("headline", "ablation", "segmentation", "study", "costs"):
            parts += map(to_markdown, section.tables[name])
        parts += [f"{section.study_note}\n"] if section.study_note else []
        parts += map(to_markdown, section.tables["labels"])
    if page.label_sources:
        parts += ["## Labels\n", *map(to_markdown, page.label_sources)]
    return "\n".join(parts)


def _for_terminal(dataset: str, table: Table, console: Console) -> TerminalTable:
    """The table's first columns, as many as fit whole in the terminal, two at least."""
    for shown in range(len(table.columns), 2, -1):
        fitting = _first_columns(dataset, table, shown)
        if Measurement.get(console, console.options.update(max_width=_ANY_WIDTH), fitting).minimum <= console.width:
            return fitting
    return _first_columns(dataset, table, 2)


def _first_columns(dataset: str, table: Table, shown: int) -> TerminalTable:
    left_out = ", ".join(table.columns[shown:])
    terminal_table = TerminalTable(
        title=f"{dataset} · {table.title}",
        title_justify="left",
        caption=f"In the report also: {left_out}" if left_out else None,
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for index, column in enumerate(table.columns[:shown]):
        # One word a line, and names of methods may wrap: nine scores fit into 80 characters.
        terminal_table.add_column(
            column.replace(" ", "\n"),
            justify="left" if index == 0 else "right",
            no_wrap=index > 0,
            # Rich measures the words of what must not wrap.
            min_width=_longest_word(table) if index == 0 else max(len(row[index].text) for row in table.rows),
        )
    for row in table.rows:
        terminal_table.add_row(*(_for_terminal_cell(cell) for cell in row[:shown]))
    return terminal_table


def _longest_word(table: Table) -> int:
    """The longest word's length in the first column: names wrap between words, and no word is cut."""
    return max((len(word) for row in table.rows for word in row[0].text.split()), default=1)


def _for_terminal_cell(cell: Cell) -> str:
    return f"[bold green]{cell.text}[/]" if cell.best else cell.text
