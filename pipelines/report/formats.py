"""Tables of the report as Markdown, CSV and LaTeX; the page renders them as HTML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from pipelines.report.tables import Table
from pipelines.storage.csv_text import csv_text

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\{",
        "}": r"\}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "→": r"$\rightarrow$",
        "Δ": r"$\Delta$",
        "ρ": r"$\rho$",
        "λ": r"$\lambda$",
        "τ": r"$\tau$",
        "×": r"$\times$",
        "≥": r"$\geq$",
        "–": "--",
        "−": "$-$",
        "…": r"\ldots{}",
    }
)


def to_markdown(table: Table) -> str:
    """The table as Markdown, the best of each column in bold."""

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"

    lines = [line(table.columns), line(["---"] * len(table.columns))]
    for row in table.rows:
        texts = [f"**{cell.text}**" if cell.best else cell.text for cell in row]
        lines.append(
            line(f"{text} ({cell.detail})" if cell.detail else text for text, cell in zip(texts, row, strict=True))
        )
    return "\n".join([f"**{table.title}**", "", *lines, "", *([table.note, ""] if table.note else [])])


def to_csv(table: Table) -> str:
    """The table as CSV; a column that has details, such as intervals, is followed by one of them.

    Minus signs are hyphens there, which programs read as numbers.
    """
    detailed = [any(row[index].detail for row in table.rows) for index in range(len(table.columns))]

    def spread(cells: Sequence[tuple[str, str]]) -> list[str]:
        return [text for cell, has in zip(cells, detailed, strict=True) for text in (cell if has else cell[:1])]

    header = spread([(column, f"{column} (interval)") for column in table.columns])
    text = csv_text(header, (spread([(cell.text, cell.detail) for cell in row]) for row in table.rows))
    return re.sub(r"−(?=\d)", "-", text)


def to_latex(table: Table) -> str:
    """The table as LaTeX: a ``tabular`` of the booktabs package, details set small below."""
    columns = "l" + "r" * (len(table.columns) - 1)
    lines = [
        r"\begin{table}",
        rf"\caption{{{_escaped(table.title)}}}",
        r"\centering",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _latex_row(map(_escaped, table.columns)),
        r"\midrule",
    ]
    for row in table.rows:
        lines.append(
            _latex_row(rf"\textbf{{{_escaped(cell.text)}}}" if cell.best else _escaped(cell.text) for cell in row)
        )
        if any(cell.detail for cell in row):
            lines.append(_latex_row(rf"{{\tiny {_escaped(cell.detail)}}}" if cell.detail else "" for cell in row))
    lines += [r"\bottomrule", r"\end{tabular}"]
    if table.note:
        lines.append(rf"\par\smallskip{{\footnotesize {_escaped(table.note)}}}")
    return "\n".join([*lines, r"\end{table}", ""])


FORMATS: Mapping[str, Callable[[Table], str]] = {"md": to_markdown, "csv": to_csv, "tex": to_latex}
"""From the ending of a file to how a table is written there."""


def _latex_row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _escaped(text: str) -> str:
    return text.translate(_LATEX)
