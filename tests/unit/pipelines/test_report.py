"""The report of fabricated run folders: complete by itself, with the numbers that were measured."""

from __future__ import annotations

import csv
import json
import math
import re
import shutil
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fabricated_runs import COUNT, DATASET, fabricate_runs

from pipelines.report import plots
from pipelines.report.collect import collect_dataset
from pipelines.settings.layout import DatasetPaths, RunPaths
from pipelines.settings.load import load
from pipelines.stages import report
from sgenet.errors import DataError

REPOSITORY = Path(__file__).resolve().parents[3]


class _Page(HTMLParser):
    """Addresses the page refers to, and the cells of its tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.rows: list[list[str]] = []
        self._reads = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "poster")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self._reads = tag in ("td", "th")  # an interval stands in a <small> of its own

    def handle_endtag(self, tag: str) -> None:
        self._reads = False

    def handle_data(self, data: str) -> None:
        if self._reads:
            self.rows[-1][-1] += data

    def row(self, name: str) -> list[str]:
        return next(row for row in self.rows if row and row[0] == name)


@pytest.fixture(scope="module")
def fabricated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with the runs of two baselines and two methods."""
    root = tmp_path_factory.mktemp("fabricated")
    fabricate_runs(root)
    return root


@pytest.fixture(scope="module")
def reported(fabricated: Path) -> Path:
    """The report of these runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(fabricated)
        report.run(load(REPOSITORY / "params.yaml"), Path("report"))
    return fabricated / "report"


@pytest.fixture(scope="module")
def page(reported: Path) -> _Page:
    return _Page((reported / "index.html").read_text(encoding="utf-8"))


def test_the_page_loads_nothing_from_anywhere(reported: Path, page: _Page) -> None:
    text = (reported / "index.html").read_text(encoding="utf-8")
    assert all(address.startswith(("data:image/", "#")) for address in page.addresses)
    assert not re.search(r"url\(|@import|<link|<iframe|https?://", text)
    assert sum(address.startswith("data:image/webp") for address in page.addresses) > 10


def test_the_headline_numbers_are_those_of_the_metrics_files(fabricated: Path, page: _Page) -> None:
    baselines = fabricated / DatasetPaths(DATASET).baselines
    folders = {
        "Mean colour": baselines / "mean_colour",
        "Telea": baselines / "telea",
        "Base-Net": fabricated / RunPaths(DATASET, "base_net").evaluation,
        "SGE-Net": fabricated / RunPaths(DATASET, "sge_net").evaluation,
    }
    for title, folder in folders.items():
        scores = json.loads((folder / "metrics.json").read_text())["centre"]
        expected = [title, f"{scores['psnr']:.2f}", f"{scores['psnr_hole']:.2f}", f"{scores['ssim']:.3f}"]
        assert page.row(title)[:4] == expected


def test_figures_and_tables_have_the_papers_numbers_and_colours_a_legend(reported: Path) -> None:
    text = (reported / "index.html").read_text(encoding="utf-8")
    for title in ("Images (Figure 5)", "Scores (Table 1)", "What each module adds (Table 3)"):
        assert f">{title}</h3>" in text
    assert '<i style="background:rgb(0,0,0)"></i>without a label (ignore)' in text


def test_the_result_is_said_in_words_with_what_it_means(reported: Path) -> None:
    text = (reported / "table.md").read_text(encoding="utf-8")
    first = json.loads((reported.parent / RunPaths(DATASET, "sge_net").evaluation / "metrics.json").read_text())
    psnr = f"{first['centre']['psnr_hole']:.2f} dB"
    assert f"SGE-Net is nearest to the original in the hole: PSNR {psnr} (95 % interval " in text
    # Each image's hole is wrong by 10 … 15 levels, and by 20 … 25 of Base-Net's.
    gains = [20 * math.log10((20 + number) / (10 + number)) for number in range(COUNT)]
    assert f"It leads Base-Net by {sum(gains) / COUNT:.2f} dB (" in text
    assert "more than the choice of images explains" in text
    assert "Without learning, Telea fills best; SGE-Net leads it by " in text
    assert "SGE-Net predicts the classes in the hole best: mIoU" in text


@pytest.mark.slow
def test_numbers_are_never_cut_in_a_narrow_terminal(
    fabricated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(fabricated)
    scores = json.loads((RunPaths(DATASET, "sge_net").evaluation / "metrics.json").read_text())["centre"]
    decimals = {"psnr": 2, "psnr_hole": 2, "ssim": 3, "ssim_hole": 3, "l1": 4, "l1_hole": 4, "miou": 3, "miou_hole": 3}
    expected = [f"{scores[name]:.{number}f}" for name, number in decimals.items()]
    for width, shown in ((80, 8), (44, 4)):
        monkeypatch.setenv("COLUMNS", str(width))
        report.run(load(REPOSITORY / "params.yaml"), tmp_path / "report")
        lines = [line.strip() for line in capsys.readouterr().out.split("The report is at")[0].splitlines()]
        assert max(map(len, lines)) <= width
        row = next(line for line in lines if line.startswith("SGE-Net ") and line.split()[1][0].isdigit())
        assert row.split()[1:] == expected[:shown]
        assert any(f"{COUNT} images" in line for line in lines)


def test_the_best_of_a_column_is_marked_and_no_other(reported: Path) -> None:
    lines = (reported / "table.md").read_text(encoding="utf-8").splitlines()
    marked = [line.split(" | ")[0].removeprefix("| ") for line in lines if line.count("**") > 2]
    assert set(marked) == {"SGE-Net"}


def test_every_table_of_the_page_is_there_by_itself(reported: Path, page: _Page) -> None:
    names = {path.name for path in (reported / "tables").iterdir()}
    of_holes = ("scores", "ablation", "pairs", "by-stratum", "by-hole_ratio", "true-labels")
    tables = ["costs", "confidence", *(f"{table}-centre" for table in of_holes)]
    assert names == {f"{DATASET}-{table}.{ending}" for table in tables for ending in ("md", "csv", "tex")}
    rows = list(csv.DictReader((reported / "tables" / f"{DATASET}-scores-centre.csv").open(encoding="utf-8")))
    methods = ["Mean colour", "Telea", "Base-Net", "SGE-Net", "SGE-Net, given the true labels"]
    assert [row["method"] for row in rows] == methods
    assert rows[3]["PSNR hole ↑"] == page.row("SGE-Net")[2]


def test_the_worst_fillings_of_the_released_method_are_shown_with_their_scores(page: _Page) -> None:
    labels = [row[0] for row in page.rows if row and row[0].endswith(" dB")]
    assert labels == ["12.3 dB", "15.6 dB"]


def test_what_is_given_the_true_labels_is_a_row_that_is_never_the_best(
    reported: Path, page: _Page, fabricated: Path
) -> None:
    row = page.row("SGE-Net, given the true labels")
    bound = json.loads((fabricated / RunPaths(DATASET, "sge_net").evaluation / "upper_bound/metrics.json").read_text())
    assert row[2] == f"{bound['centre']['psnr_hole']:.2f}"
    assert float(row[2]) > float(page.row("SGE-Net")[2])
    assert row[7:9] == ["–", "–"]  # its segmentation was given
    lines = (reported / "tables" / f"{DATASET}-scores-centre.md").read_text(encoding="utf-8").splitlines()
    assert not any("**" in line for line in lines if "true labels |" in line)
    (gain,) = csv.DictReader((reported / "tables" / f"{DATASET}-true-labels-centre.csv").open(encoding="utf-8"))
    # Wrong by 10 … 15 levels without true labels, by 5 … 10 with them.
    gains = [20 * math.log10((10 + number) / (5 + number)) for number in range(COUNT)]
    assert gain["Δ PSNR hole, given the true labels ↑"] == f"{sum(gains) / COUNT:+.2f}"
    assert gain["N"] == str(COUNT)


def test_examples_say_how_complex_their_scene_is(page: _Page) -> None:
    assert [row[0] for row in page.rows if row and row[0] == "low" and not any(row[1:])] == ["low"] * 2


def test_the_ablation_pairs_images(reported: Path) -> None:
    """Every image's hole is wrong by exactly 10 levels less: the interval has no width."""
    assert "−0.0392 (−0.0392 … −0.0392)" in (reported / "table.md").read_text(encoding="utf-8")


def test_what_was_not_made_is_absent_and_named(reported: Path, page: _Page) -> None:
    assert "not shown: SG-Net" in (reported / "index.html").read_text(encoding="utf-8")
    assert not any(row and row[0] == "SG-Net" for row in page.rows)
    assert page.row("Mean colour")[-1] == "–"  # a baseline has no mIoU


def test_costs_and_the_perceptual_network_are_said(page: _Page) -> None:
    rows = [row for row in page.rows if row and row[-1] == "random"]
    assert [row[:6] for row in rows] == [
        ["Base-Net", "1.2 M", "5.0 G", "2,000", "10.0 min", "2,000 steps"],
        ["SGE-Net", "1.2 M", "5.0 G", "2,000", "10.0 min", "2,000 steps"],
    ]


def test_size_work_and_time_stand_in_a_table_of_their_own_below_the_scores(page: _Page) -> None:
    titles = [row for row in page.rows if row and row[0] == "method"]
    assert ("PSNR hole ↑" in titles[0], "FLOPs" in titles[0]) == (True, False)
    assert (titles[1][1:3], "PSNR hole ↑" in titles[1]) == (["parameters", "FLOPs"], False)
    assert not [row for row in page.rows if row and row[0] == "parameters"]


def test_pictures_show_the_released_method_next_to_the_input(page: _Page) -> None:
    titles = [row for row in page.rows if "Input" in row and "Telea" in row]
    assert titles
    assert all(row[:4] == ["", "Input", "SGE-Net", "Original"] for row in titles)


def test_what_a_note_has_in_backticks_is_code(reported: Path) -> None:
    text = (reported / "index.html").read_text(encoding="utf-8")
    assert "<code>guidance.given: 1</code>" in text
    assert "`guidance" not in text


@pytest.mark.slow
def test_a_wall_clock_budget_is_named_in_seconds(
    fabricated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(fabricated / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    model = RunPaths(DATASET, "sge_net").model / "model.json"
    description = json.loads(model.read_text())
    description["recipe"]["training"] = {"budget": "wall_clock", "steps": 100_000, "seconds": 600.0}
    model.write_text(json.dumps(description))
    report.run(load(REPOSITORY / "params.yaml"), Path("report"))
    rows = _Page(Path("report/index.html").read_text(encoding="utf-8")).rows
    (row,) = [row for row in rows if row and row[0] == "SGE-Net" and row[-1] == "random"]
    assert row[5] == "600 s"


def test_names_from_the_data_cannot_become_markup(reported: Path) -> None:
    text = (reported / "index.html").read_text(encoding="utf-8")
    assert "image &lt;0&gt;" in text
    assert "image <0>" not in text


@pytest.mark.slow
def test_the_same_runs_give_the_same_bytes(
    fabricated: Path, reported: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(fabricated)
    report.run(load(REPOSITORY / "params.yaml"), tmp_path / "again")
    assert (tmp_path / "again" / "index.html").read_bytes() == (reported / "index.html").read_bytes()


@pytest.mark.parametrize(
    ("key", "differ"),
    [("masks_digest", "holes"), ("code_digest", "versions of the metrics"), ("precision", "precisions")],
)
def test_scores_that_cannot_be_compared_are_not_put_beside_each_other(
    fabricated: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str, differ: str
) -> None:
    shutil.copytree(fabricated / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    summary = RunPaths(DATASET, "sge_net").evaluation / "evaluation.json"
    summary.write_text(json.dumps({**json.loads(summary.read_text()), key: "another"}))
    with pytest.raises(DataError, match=f"different {differ}"):
        report.run(load(REPOSITORY / "params.yaml"), Path("report"))
    assert not Path("report").exists()


def test_a_damaged_evaluation_is_named(fabricated: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(fabricated / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    evaluation = RunPaths(DATASET, "sge_net").evaluation
    (evaluation / "evaluation.json").write_text("[]")
    with pytest.raises(DataError, match=rf"{evaluation} is damaged \(evaluation\.json holds no JSON object\)"):
        report.run(load(REPOSITORY / "params.yaml"), Path("report"))


def test_without_any_evaluation_it_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="run the evaluate stage first"):
        report.run(load(REPOSITORY / "params.yaml"), Path("report"))


def test_every_two_methods_are_tested_against_each_other(reported: Path, fabricated: Path) -> None:
    with (reported / "tables" / f"{DATASET}-pairs-centre.csv").open(encoding="utf-8") as file:
        rows = {row["methods"]: row for row in csv.DictReader(file)}
    assert len(rows) == 6  # of four methods
    folders = (DatasetPaths(DATASET).baselines / "telea", RunPaths(DATASET, "sge_net").evaluation)
    first, second = (pq.read_table(fabricated / folder / "images.parquet") for folder in folders)
    differences = np.subtract(first["psnr"].to_pylist(), second["psnr"].to_pylist())
    row = rows["Telea − SGE-Net"]
    assert float(row["Δ PSNR ↑"]) == pytest.approx(differences.mean(), abs=0.005)
    # All six images are worse: 2 of 2⁶ swaps are as extreme; six pairs are tested, and none is nearer to chance.
    assert (differences < 0).all()
    assert float(row["p PSNR"]) == pytest.approx(min(1.0, 6 * 2 / 2**COUNT), abs=0.02)
    assert row["Δ mIoU ↑"] == "–"  # Telea has no segmentation
    assert float(rows["Base-Net − SGE-Net"]["Δ mIoU ↑"]) < 0


@pytest.mark.slow
def test_many_images_are_counted_in_hexagons(fabricated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fabricated)
    results = collect_dataset(load(REPOSITORY / "params.yaml"), DATASET)
    assert "holes in a hexagon" not in (plots.confidence_scatter(results) or "")
    # A point each, however many there are, would make a page of tens of megabytes.
    rng = np.random.default_rng(1)
    many = pa.table({"confidence_hole": rng.uniform(size=40_000), "l1_hole": rng.uniform(size=40_000)})
    large = replace(results, methods=[replace(method, images=many) for method in results.methods[-2:]])
    counted = plots.confidence_scatter(large)
    assert counted is not None
    assert "holes in a hexagon" in counted
    assert len(counted) < 2_000_000


def test_the_page_has_contents_a_date_and_the_original_beside_the_input(
    fabricated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fabricated)
    report.run(load(REPOSITORY / "params.yaml"), tmp_path / "report", date(2026, 2, 3))
    text = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Made on 3 February 2026" in text
    links, ids = re.findall(r'href="#([^"]+)"', text), re.findall(r' id="([^"]+)"', text)
    assert links == ids
    assert len(set(ids)) == len(ids) > 5
    plots = {path.name for path in (tmp_path / "report" / "plots").iterdir()}
    assert plots == {f"{DATASET}-{name}.svg" for name in ("validation", "losses", "confidence")}
    rows = _Page(text).rows
    assert ["", "Input", "SGE-Net", "Original", "Mean colour", "Telea", "Base-Net"] in rows
    assert "Validation over the steps of training" in text
    first_table = text.index("PSNR hole ↑")
    assert text.index("is nearest to the original") < text.index("data:image/webp") < first_table
