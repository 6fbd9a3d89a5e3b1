"""The masks stage: fixed, binned, hashed masks that do not depend on what does not concern them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines.data.evaluation_masks import EvaluationMasks, load_evaluation_masks
from pipelines.settings.params import (
    DataSettings,
    EvaluationMaskSettings,
    EvaluationSettings,
    MaskSettings,
)
from pipelines.settings.sources import MixedScenesSource
from pipelines.stages import masks as stage
from sgenet.errors import DataError, UserError
from sgenet.masks import centre_hole
from sgenet.settings import HoleSettings

CROP = 20
KEYS = ("a", "b", "ç-1", "d")
EDGES = (0.0, 0.2, 0.4, 1.0)


@pytest.fixture
def file_masks(tmp_path: Path) -> Path:
    """Ten mask files a bin, named so that their order has nothing to do with their ratio."""
    folder = tmp_path / "mask_files"
    folder.mkdir()
    for number in range(30):
        side = (6, 10, 14)[number % 3] + number // 10
        Image.fromarray(centre_hole(40, 40, 2 * side) * 255).save(folder / f"{number:02d}.png")
    return folder


Run = Callable[..., EvaluationMasks]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs the stage: the name of its output, the sets, and perhaps the keys of the samples."""

    def run(name: str, *sets: EvaluationMaskSettings, keys: tuple[str, ...] = KEYS) -> EvaluationMasks:
        tables = {"val": SimpleNamespace(keys=keys)}
        monkeypatch.setattr(stage, "open_index", lambda _: SimpleNamespace(of_split=tables.__getitem__))
        masks = MaskSettings(training=(HoleSettings(kind="strokes"),), evaluation=sets, ratio_bins=EDGES)
        source = MixedScenesSource(adapter="mixed_scenes")
        data = DataSettings(sources=(source,), label_space="outdoor_scenes", shorter_side=CROP, crop=CROP)
        stage.run(masks, EvaluationSettings(), data, Path("shards"), tmp_path / name)
        return load_evaluation_masks(tmp_path / name)

    return run


def table(masks: EvaluationMasks, mask_set: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(masks.folder / "masks.parquet").to_pylist()
    return [row for row in rows if row["set"] == mask_set]


def drawn(name: str = "irregular", kind: str = "medium", **hole: object) -> EvaluationMaskSettings:
    return EvaluationMaskSettings(name=name, hole=HoleSettings(kind=kind, **hole))  # type: ignore[arg-type]


def test_centre_masks_come_back_as_they_were_drawn(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks = run("masks", drawn("centre", "centre", size=7), drawn())
    assert masks.sets == ("centre", "irregular")
    assert capsys.readouterr().out == f"{tmp_path / 'masks'}: 4 masks in each of centre, irregular\n"
    for key in KEYS:
        np.testing.assert_array_equal(masks.mask("centre", key), centre_hole(CROP, CROP, 7))
    row = table(masks, "centre")[2]
    assert (row["key"], row["ratio"], row["bin"], row["source"]) == ("ç-1", 49 / 400, "0–0.2", None)


def test_the_table_says_what_the_masks_are(run: Run) -> None:
    masks = run("masks", drawn())
    assert tuple(row["key"] for row in table(masks, "irregular")) == KEYS
    for row in table(masks, "irregular"):
        assert row["ratio"] == masks.mask("irregular", row["key"]).mean()


def test_the_same_settings_give_the_same_bytes(run: Run, tmp_path: Path, file_masks: Path) -> None:
    sets = (drawn(), drawn("files", "files", path=str(file_masks)))
    for output in ("first", "second"):
        run(output, *sets)
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert names == ["files.npy", "irregular.npy", "manifest.json", "masks.parquet"]
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_a_mask_does_not_depend_on_other_samples(run: Run) -> None:
    few = run("few", drawn())
    many = run("many", drawn(), keys=("0", "b", "d", "e", "ç-1"))
    for key in ("b", "ç-1", "d"):
        np.testing.assert_array_equal(few.mask("irregular", key), many.mask("irregular", key))
    assert few.digest != many.digest


def test_the_seed_decides(run: Run) -> None:
    one = run("one", drawn())
    two = run("two", drawn().model_copy(update={"seed": 2}))
    assert not any(np.array_equal(one.mask("irregular", key), two.mask("irregular", key)) for key in KEYS)
    assert one.digest != two.digest


def test_file_masks_fill_the_bins_equally_by_measured_ratio(run: Run, file_masks: Path) -> None:
    keys = tuple(f"{number:02d}" for number in range(12))
    masks = run("masks", drawn("files", "files", path=str(file_masks)), keys=keys)
    rows = table(masks, "files")
    assert Counter(row["bin"] for row in rows) == {"0–0.2": 4, "0.2–0.4": 4, "0.4–1": 4}
    for row in rows:
        lower, upper = (float(bound) for bound in row["bin"].split("–"))
        assert lower <= masks.mask("files", row["key"]).mean() < upper
        assert (file_masks / row["source"]).is_file()
    assert len({row["source"] for row in rows}) > 6


def test_black_holes_are_converted_at_the_door(run: Run, tmp_path: Path, file_masks: Path) -> None:
    inverted = tmp_path / "inverted"
    inverted.mkdir()
    for path in file_masks.iterdir():
        Image.fromarray(255 - np.asarray(Image.open(path))).save(inverted / path.name)
    white = run("white", drawn("files", "files", path=str(file_masks)))
    black = run("black", drawn("files", "files", path=str(inverted), white_is_hole=False))
    assert white.digest == black.digest


def test_a_bin_without_files_is_named(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    Image.fromarray(centre_hole(40, 40, 10) * 255).save(folder / "a.png")
    with pytest.raises(DataError, match=r"no masks with a hole ratio of 0\.2–0\.4, 0\.4–1"):
        run("masks", drawn("files", "files", path=str(folder)))


def test_a_failure_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        run("masks", drawn(), drawn("files", "files", path=str(tmp_path / "nowhere")))
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_tells_polarity_bins_and_counts(run: Run, tmp_path: Path) -> None:
    masks = run("masks", drawn("centre", "centre", size=7))
    manifest = json.loads((tmp_path / "masks" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["polarity"] == "1 = missing"
    assert manifest["digest"] == masks.digest
    assert masks.ratio_bins == EDGES
    assert manifest["sets"][0]["masks_per_bin"] == {"0–0.2": 4}


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_changed_mask_is_noticed(run: Run, tmp_path: Path) -> None:
    run("masks", drawn())
    flip_a_bit(tmp_path / "masks" / "irregular.npy")
    masks = load_evaluation_masks(tmp_path / "masks")
    with pytest.raises(DataError, match=r"the mask of 'd' .* was changed after it was written"):
        masks.mask("irregular", "d")


@pytest.mark.parametrize("name", ["manifest.json", "masks.parquet", "irregular.npy"])
def test_a_missing_file_is_said_in_a_sentence(run: Run, tmp_path: Path, name: str) -> None:
    run("masks", drawn())
    (tmp_path / "masks" / name).unlink()
    with pytest.raises(UserError, match="run the masks stage again"):
        load_evaluation_masks(tmp_path / "masks")


def test_masks_of_another_run_are_not_mixed_in(run: Run, tmp_path: Path) -> None:
    run("one", drawn())
    run("two", drawn().model_copy(update={"seed": 2}))
    (tmp_path / "one" / "masks.parquet").write_bytes((tmp_path / "two" / "masks.parquet").read_bytes())
    with pytest.raises(DataError, match="do not match their manifest"):
        load_evaluation_masks(tmp_path / "one")


def test_an_unknown_sample_or_set_is_named(run: Run) -> None:
    masks = run("masks", drawn())
    with pytest.raises(DataError, match="no mask for the sample 'zebra'"):
        masks.mask("irregular", "zebra")
    with pytest.raises(DataError, match="no mask set 'centre', it has irregular"):
        masks.mask("centre", "a")
