"""Rows and columns of the report that are there only where the settings ask for them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from fabricated_runs import DATASET, fabricate_runs

from pipelines.settings.layout import RunPaths
from pipelines.settings.load import load
from pipelines.stages import report

PARAMS = Path(__file__).resolve().parents[3] / "params.yaml"
METHODS = ["Mean colour", "Telea", "Base-Net", "SGE-Net", "SGE-Net + exemplars"]


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of runs with copied texture, VGG distance and a segmenter."""
    root = tmp_path_factory.mktemp("rows")
    fabricate_runs(root, segmenter="deep_parsing", exemplar=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        report.run(load(PARAMS), Path("report"))
    return root / "report"


def _rows(reported: Path, table: str) -> dict[str, dict[str, str]]:
    with (reported / "tables" / f"{DATASET}-{table}.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {next(iter(row.values())): row for row in rows}


def test_copied_texture_is_a_row_of_its_own_beside_the_method(reported: Path) -> None:
    assert list(_rows(reported, "scores-centre")) == [*METHODS, "SGE-Net, given the true labels"]
    assert "SGE-Net − SGE-Net + exemplars" in _rows(reported, "pairs-centre")
    assert list(_rows(reported, "ablation-centre")) == ["SGE-Net", "SGE-Net + exemplars"]
    # It was trained once.
    assert list(_rows(reported, "costs")) == ["Base-Net", "SGE-Net"]


def test_the_smallest_vgg_distance_is_the_best_and_said_in_words(reported: Path) -> None:
    rows = _rows(reported, "scores-centre")
    assert rows["SGE-Net + exemplars"]["VGG distance ↓"] == "0.325"
    assert rows["Telea"]["VGG distance ↓"] == "0.475"
    text = (reported / "table.md").read_text(encoding="utf-8")
    assert "**0.325**" in text
    assert "SGE-Net + exemplars looks most like the original in the features of a VGG: distance 0.325" in text
    assert "It leads SGE-Net by 0.100 (0.100 … 0.100) on the same 6 images" in text


def test_every_filling_has_the_miou_that_a_fixed_segmenter_finds_in_its_hole(reported: Path) -> None:
    rows = _rows(reported, "scores-centre")
    for title, folder in (("Base-Net", ""), ("SGE-Net + exemplars", "exemplar")):
        method = "base_net" if title == "Base-Net" else "sge_net"
        metrics = reported.parent / RunPaths(DATASET, method).evaluation / folder / "metrics.json"
        expected = json.loads(metrics.read_text())["centre"]["miou_filled_hole"]
        assert rows[title]["mIoU hole, filled ↑"] == f"{expected:.3f}"
    assert all(float(row["mIoU hole, filled ↑"]) >= 0 for row in rows.values())


@pytest.mark.slow
def test_trained_with_true_labels_alone_it_is_called_the_upper_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fabricate_runs(tmp_path)
    model = tmp_path / RunPaths(DATASET, "sge_net").model / "model.json"
    description = json.loads(model.read_text())
    description["recipe"]["guidance"] = {"given": 1.0}
    model.write_text(json.dumps(description))
    monkeypatch.chdir(tmp_path)
    report.run(load(PARAMS), Path("report"))
    rows = _rows(tmp_path / "report", "scores-centre")
    assert "SGE-Net, trained with and given the true labels: upper bound" in rows
    assert "VGG distance ↓" not in rows["Telea"]
