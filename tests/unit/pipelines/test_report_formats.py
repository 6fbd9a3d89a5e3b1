from __future__ import annotations

import csv
import re

from pipelines.report.formats import to_csv, to_latex, to_markdown
from pipelines.report.tables import Cell, Table, signed

TABLE = Table(
    "Holes: 50 % & more",
    ["method", "PSNR ↑", "N"],
    [
        [Cell("mine_{2}"), Cell("20.53", "19.90 … 21.10", best=True), Cell("300")],
        [Cell("a|b, c"), Cell("–"), Cell("300")],
    ],
    note="100 % of #1",
)


def test_csv_keeps_every_cell_and_gives_details_a_column() -> None:
    assert list(csv.reader(to_csv(TABLE).splitlines())) == [
        ["method", "PSNR ↑", "PSNR ↑ (interval)", "N"],
        ["mine_{2}", "20.53", "19.90 … 21.10", "300"],
        ["a|b, c", "–", "", "300"],
    ]


def test_latex_rows_have_as_many_cells_as_columns_and_nothing_is_left_to_be_interpreted() -> None:
    text = to_latex(TABLE)
    assert r"\begin{tabular}{lrr}" in text
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert len(rows) == 4  # columns, first method, its interval, second method
    assert all(len(re.findall(r"(?<!\\)&", row)) == 2 for row in rows)
    assert r"mine\_\{2\} & \textbf{20.53} & 300 \\" in text
    assert r"50 \% \& more" in text
    assert r"100 \% of \#1" in text
    assert re.findall(r"[^\x00-\x7f]", text) == []
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_markdown_cells_cannot_end_early() -> None:
    lines = to_markdown(TABLE).splitlines()
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in lines if line.startswith("|")] == [4, 4, 4, 4]
    assert "| mine_{2} | **20.53** (19.90 … 21.10) | 300 |" in lines


def test_a_negative_number_has_a_minus_sign_that_programs_read_as_one() -> None:
    table = Table("t", ["methods", "Δ"], [[Cell("Telea − SGE-Net"), Cell(signed(-0.5, 2), "")]])
    assert "| Telea − SGE-Net | −0.50 |" in to_markdown(table)
    assert to_csv(table).splitlines()[1] == "Telea − SGE-Net,-0.50"
    assert "Telea $-$ SGE-Net & $-$0.50" in to_latex(table)
