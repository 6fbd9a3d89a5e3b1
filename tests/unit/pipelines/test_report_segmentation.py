"""The report's tables of segmentation, of fabricated runs: what they hold, and when they stand there."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from every_dataset import every_dataset
from fabricated_runs import COUNT, DATASET, ERRORS, fabricate_runs, label_with

from pipelines.report.collect import MethodResult, collect_dataset
from pipelines.report.paper import published_label_sources, published_segmentation
from pipelines.report.segmentation import after_inpainting
from pipelines.report.tables import Cell
from pipelines.settings.layout import DatasetPaths, RunPaths
from pipelines.settings.load import parse
from pipelines.settings.params import Settings
from pipelines.settings.presets import with_presets
from pipelines.stages import report
from sgenet.errors import DataError

PARAMS = Path(__file__).resolve().parents[3] / "params.yaml"
OTHER = "automatically_labelled"
WORSE_BY = 5  # grey levels, of the methods trained there


def _settings(**changes: object) -> Settings:
    raw = with_presets(every_dataset(), "params.yaml")[0]
    for section in ("data", "masks", "recipes"):
        raw[section][OTHER] = raw[section][DATASET]
    return parse(raw | {"datasets": [DATASET, OTHER]} | changes)


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the same images twice: labelled by people and by DeepLab v3+, and DPN for the filled ones."""
    root = tmp_path_factory.mktemp("segmented")
    for dataset, worse_by in ((DATASET, 0), (OTHER, WORSE_BY)):
        fabricate_runs(root, dataset=dataset, segmenter="deep_parsing", worse_by=worse_by)
    for method in ("base_net", "sge_net"):
        label_with(root / RunPaths(DATASET, method).model, "human")
        label_with(root / RunPaths(OTHER, method).model, "auto", "deeplab_v3_plus")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        report.run(_settings(), Path("report"))
    return root / "report"


def _rows(reported: Path, name: str) -> dict[str, dict[str, str]]:
    with (reported / "tables" / f"{name}.csv").open(encoding="utf-8") as file:
        return {row["method" if "method" in row else "labels of"]: row for row in csv.DictReader(file)}


def test_fillings_by_a_segmenter_stand_beside_the_methods_own_segmentations(reported: Path) -> None:
    rows = _rows(reported, f"{DATASET}-segmentation-centre")
    assert list(rows) == [
        "Mean colour + DPN",
        "Telea + DPN",
        "Base-Net + DPN",
        "SGE-Net + DPN",
        "Base-Net, its own",
        "SGE-Net, its own",
        "Undamaged images + DPN",
    ]
    metrics = json.loads((reported.parent / RunPaths(DATASET, "sge_net").evaluation / "metrics.json").read_text())
    assert rows["SGE-Net + DPN"]["mIoU ↑"] == f"{metrics['centre']['miou_filled']:.3f}"
    assert rows["SGE-Net, its own"]["mIoU hole ↑"] == f"{metrics['centre']['miou_hole']:.3f}"
    assert rows["Undamaged images + DPN"]["mIoU ↑"] == "1.000"
    assert {row["N"] for row in rows.values()} == {str(COUNT)}


def _forget(method: MethodResult, *names: str) -> None:
    """Leave scores out, as where no pixel of the region is labelled."""
    scores = method.metrics["centre"]
    assert isinstance(scores, dict)
    for name in names:
        scores.pop(name, None)


def test_the_best_of_a_region_is_a_score_and_no_dash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fabricate_runs(tmp_path, segmenter="deep_parsing")
    monkeypatch.chdir(tmp_path)
    results = collect_dataset(_settings(), DATASET)

    def in_the_hole() -> list[Cell]:
        table = after_inpainting(results, "centre", against="sge_net")
        assert table is not None
        return [row[table.columns.index("mIoU hole ↑")] for row in table.rows]

    _forget(results.methods[0], "miou_filled_hole")
    cells = in_the_hole()
    assert cells[0] == Cell("–", cells[0].detail)
    competing = cells[:-1]  # the last row is that of undamaged images
    highest = max(cell.text for cell in competing if cell.text != "–")
    assert {cell.text for cell in competing if cell.best} == {highest}

    for method in results.methods:
        _forget(method, "miou_hole", "miou_filled_hole")
    assert not any(cell.best for cell in in_the_hole())


def test_differences_are_to_the_released_methods_own(reported: Path) -> None:
    rows = _rows(reported, f"{DATASET}-segmentation-centre")
    own = float(rows["SGE-Net, its own"]["mIoU ↑"])
    column = "Δ to SGE-Net, its own"
    assert rows["SGE-Net, its own"][column] == "–"
    for name in ("Base-Net + DPN", "Base-Net, its own"):
        assert float(rows[name][column]) == pytest.approx(float(rows[name]["mIoU ↑"]) - own, abs=2e-3)
        low, high = (float(bound) for bound in rows[name][f"{column} (interval)"].split(" … "))
        assert low <= float(rows[name][column]) <= high


def test_table_5_pairs_the_same_images_with_the_other_labels(reported: Path) -> None:
    rows = _rows(reported, f"label-sources-{DATASET}-centre")
    human, automatic = f"people's labels, {DATASET}", f"automatic labels of DeepLab v3+, {OTHER}"
    assert list(rows) == [f"{method}, {labels}" for method in ("Base-Net", "SGE-Net") for labels in (human, automatic)]
    assert rows[f"SGE-Net, {human}"]["Δ PSNR"] == "–"
    # Image n is wrong by 10 + n grey levels with people's labels, and by 5 more with automatic ones.
    wrong = np.arange(COUNT) + ERRORS["sge_net"]
    expected = 20 * np.log10(wrong / (wrong + WORSE_BY))
    row = rows[f"SGE-Net, {automatic}"]
    assert float(row["Δ PSNR"]) == pytest.approx(expected.mean(), abs=0.01)
    low, high = (float(bound) for bound in row["Δ PSNR (interval)"].split(" … "))
    assert expected.min() < low < high < expected.max() < 0
    assert "(Table 5)" in (reported / "index.html").read_text(encoding="utf-8")
    assert "automatic labels of DeepLab v3+" in (reported / "table.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_trainings_that_differ_in_more_than_their_labels_are_no_table_5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for dataset in (DATASET, OTHER):
        fabricate_runs(tmp_path, dataset=dataset)
        for method in ("base_net", "sge_net"):
            label_with(tmp_path / RunPaths(dataset, method).model, "human" if dataset == DATASET else "auto")
    longer = tmp_path / RunPaths(OTHER, "sge_net").model / "model.json"
    longer.write_text(longer.read_text().replace('"steps": 2000', '"steps": 4000'))
    monkeypatch.chdir(tmp_path)
    report.run(_settings(), Path("report"))
    rows = _rows(tmp_path / "report", f"label-sources-{DATASET}-centre")
    assert {name.split(",")[0] for name in rows} == {"Base-Net"}


@pytest.mark.slow
def test_a_segmenter_without_any_label_to_compare_with_makes_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fabricate_runs(tmp_path, segmenter="deep_parsing", labelled=False)
    monkeypatch.chdir(tmp_path)
    report.run(_settings(datasets=[DATASET]), Path("report"))
    assert "Table 4" not in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


def test_the_labels_quality_is_said_where_they_were_trained_with(reported: Path) -> None:
    rows = _rows(reported, f"{OTHER}-labels")
    assert (rows["training images"]["mIoU"], rows["held-out images"]["mIoU"]) == ("0.500", "0.375")
    assert rows["training images"]["calibration error"] == "–"
    assert not (reported / "tables" / f"{DATASET}-labels.csv").exists()


def test_figure_9_has_both_segmentations(reported: Path) -> None:
    page = (reported / "index.html").read_text(encoding="utf-8")
    assert 'alt="SGE-Net + DPN, ' in page
    assert page.count('alt="SGE-Net, ') > page.count('alt="Telea, ')  # its own segmentation, beside its image
    assert 'alt="Mean colour + DPN, ' not in page


@pytest.mark.slow
def test_without_a_segmenter_there_is_no_such_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fabricate_runs(tmp_path)
    monkeypatch.chdir(tmp_path)
    report.run(_settings(datasets=[DATASET]), Path("report"))
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Table 4" not in page
    assert "Table 5" not in page


def test_fillings_segmented_by_different_segmenters_are_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fabricate_runs(tmp_path, segmenter="deep_parsing")
    path = tmp_path / DatasetPaths(DATASET).baselines / "undamaged" / "evaluation.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"segmenter_sha256": "others"}))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="evaluated with different segmenters"):
        report.run(_settings(datasets=[DATASET]), Path("report"))


def test_the_papers_numbers_stand_beside_its_own_settings_alone() -> None:
    settings = _settings()
    assert published_segmentation(settings, "outdoor_scenes", "centre", "deep_parsing")["sge_net"] == 0.79
    assert published_segmentation(settings, "cityscapes", "centre", "deeplab_v3_plus")["edge_connect"] == 0.61
    assert published_segmentation(settings, "outdoor_scenes", "centre", "deeplab_v3_plus") == {}
    assert published_segmentation(settings, "outdoor_scenes", "irregular", "deep_parsing") == {}
    paper = published_label_sources(settings, "cityscapes", "centre", "deeplab_v3_plus")
    assert paper == {"auto": 22.94, "human": 23.41}
    assert published_label_sources(settings, "cityscapes", "centre", "deep_parsing") == {}
    assert published_label_sources(settings, "outdoor_mix", "centre", "deep_parsing") == {}
