"""Blind pairs: each filling stands on the side that the key says, and no sheet tells which it is."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
SIDE = 32


@pytest.fixture
def blind_pairs(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import blind_pairs

    yield blind_pairs
    for name in ("blind_pairs", "photographs"):
        sys.modules.pop(name, None)


@pytest.fixture
def folder(blind_pairs: ModuleType, tmp_path: Path) -> Path:
    """Twelve pairs of a filling in grey 10 and one in grey 20."""
    photo = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(100, 200, (80, 90, 3), np.uint8)).save(photo)
    fills = {
        name: lambda image, hole, grey=grey: np.where(hole[..., None], np.uint8(grey), image)
        for name, grey in (("ours", 10), ("theirs", 20))
    }
    blind_pairs.make(tmp_path / "pairs", blind_pairs.cases([photo], 12, (SIDE, SIDE), 3), fills, seed=3)
    return tmp_path / "pairs"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_key_says_what_stands_on_which_side(folder: Path) -> None:
    key = _rows(folder / "key.csv")
    assert {row["left"] for row in key} == {"ours", "theirs"}  # either side
    holes = []
    for row in key:
        pixels = np.asarray(Image.open(folder / "sheets" / row["sheet"]))[-SIDE:]
        shown = [pixels[:, start : start + SIDE] for start in range(0, pixels.shape[1], SIDE + 8)]
        hole = (shown[0] == 255).all(axis=2)
        assert 0 < hole.mean() < 0.2
        assert not hole[[0, -1]].any()
        holes.append(hole)
        for side, image in zip(("left", "right"), shown[1:], strict=True):
            assert (image[hole] == {"ours": 10, "theirs": 20}[row[side]]).all()
            assert np.array_equal(image[~hole], shown[0][~hole])
    assert not all(np.array_equal(holes[0], hole) for hole in holes)


def test_what_was_preferred_is_counted_by_the_key(blind_pairs: ModuleType, folder: Path) -> None:
    key = _rows(folder / "key.csv")
    # Ours in eight, theirs in two, neither in two.
    wanted = ["ours"] * 8 + ["theirs"] * 2 + [""] * 2
    sides = [
        next((side for side in ("left", "right") if row[side] == name), "")
        for row, name in zip(key, wanted, strict=True)
    ]
    lines = [f"{row['sheet']},{side}" for row, side in zip(key, sides, strict=True)]
    (folder / "answers.csv").write_text("\n".join(["sheet,better", *lines]) + "\n")
    text = blind_pairs.read(folder)
    assert text.splitlines()[0] == "10 of 12 pairs decided"
    assert "ours: 80% (49% to 94%)" in text


def test_answers_are_not_overwritten(blind_pairs: ModuleType, folder: Path) -> None:
    with pytest.raises(SystemExit, match="holds pairs already"):
        blind_pairs.make(folder, iter(()), {}, seed=0)
