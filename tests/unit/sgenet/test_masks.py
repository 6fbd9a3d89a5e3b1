"""Holes: where they lie, how large they are, and that each follows from its random stream alone."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sgenet.errors import DataError, SettingsError
from sgenet.mask_files import Mask, hole_ratio
from sgenet.masks import HoleDrawer, brush_strokes, centre_hole, lama_hole
from sgenet.settings import HoleSettings

DRAWN_KINDS = ("rectangles", "strokes", "thin", "medium", "thick")


def stream(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed))


def draw(kind: str, side: int, num_masks: int, seed: int = 5) -> list[Mask]:
    drawer = HoleDrawer([HoleSettings(kind=kind)], side, side)  # type: ignore[arg-type]
    rng = stream(seed)
    return [drawer(rng) for _ in range(num_masks)]


def survivors(hole_mask: Mask, side: int) -> float:
    """Share of the hole that a square of ``side`` px reaches without leaving the hole."""
    fits = window_sums(hole_mask, side) == side * side
    reached = window_sums(np.pad(fits, side - 1), side) > 0
    return np.count_nonzero(reached) / np.count_nonzero(hole_mask)


def window_sums(values: np.ndarray, side: int) -> np.ndarray:
    sums = np.pad(values.astype(np.int64), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    return sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]


def test_centre_hole_is_in_the_middle() -> None:
    expected = np.zeros((6, 8), np.uint8)
    expected[2:4, 3:5] = 1
    np.testing.assert_array_equal(centre_hole(6, 8, 2), expected)
    assert hole_ratio(expected) == 4 / 48
    # Of an odd remainder, towards the top left.
    assert np.argwhere(centre_hole(5, 5, 2)).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]


def test_centre_hole_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="9 px does not fit an image of 8×12"):
        centre_hole(8, 12, 9)


@pytest.mark.parametrize(
    ("kind", "lowest", "highest"),
    [
        # 4 boxes of 1/16 of the image each, on average, less what overlaps.
        ("rectangles", 0.18, 0.25),
        ("strokes", 0.10, 0.20),
        ("thin", 0.20, 0.33),
        ("medium", 0.15, 0.25),
        ("thick", 0.30, 0.45),
    ],
)
def test_mean_hole_ratio_of_each_kind(kind: str, lowest: float, highest: float) -> None:
    assert lowest < np.mean([hole_ratio(mask) for mask in draw(kind, 256, 250)]) < highest


@pytest.mark.slow
@pytest.mark.parametrize("kind", DRAWN_KINDS)
def test_holes_cover_the_same_share_at_every_size(kind: str) -> None:
    small, large = (np.mean([hole_ratio(mask) for mask in draw(kind, side, 250)]) for side in (64, 256))
    assert small == pytest.approx(large, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("kind", DRAWN_KINDS)
def test_every_part_of_the_image_is_sometimes_missing(kind: str) -> None:
    blocks = np.mean(draw(kind, 64, 400), axis=0).reshape(8, 8, 8, 8).mean(axis=(1, 3))
    assert blocks.min() > 0.01


def test_brush_strokes_are_at_least_12_px_wide_and_rarely_wider_than_40() -> None:
    masks = [brush_strokes(stream(seed), 256, 256) for seed in range(60)]
    # Only what the border cuts off is narrower; a square of 7 fits a slanted stroke of 12.
    assert np.mean([survivors(mask, 7) for mask in masks]) > 0.97
    assert np.mean([survivors(mask, 45) for mask in masks]) < 0.45


def test_lama_kinds_differ_in_width() -> None:
    kept = {
        kind: np.mean([survivors(lama_hole(stream(seed), 256, 256, kind), 21) for seed in range(80)])
        for kind in ("thin", "medium", "thick")
    }
    assert kept["thin"] < 0.35 < kept["medium"] < kept["thick"]


def test_medium_and_thick_holes_are_boxes_in_three_of_ten_draws() -> None:
    """A union of at most five boxes has few corners (2×2 windows missing 1 or 3 pixels); a slanted edge has many."""

    def is_boxes(mask: Mask) -> bool:
        quads = mask[:-1, :-1] + mask[1:, :-1] + mask[:-1, 1:] + mask[1:, 1:]
        return np.count_nonzero(quads % 2) <= 40

    for kind in ("medium", "thick"):
        share = np.mean([is_boxes(lama_hole(stream(seed), 256, 256, kind)) for seed in range(400)])  # type: ignore[arg-type]
        assert share == pytest.approx(0.3, abs=0.08)


def test_holes_of_a_seed_never_change() -> None:
    """Scores of different days are comparable only as long as the same seed means the same holes."""
    digest = hashlib.sha256()
    for kind in DRAWN_KINDS:
        for mask in draw(kind, 128, 4):
            digest.update(mask.tobytes())
        assert not all(map(np.array_equal, draw(kind, 96, 5, seed=1), draw(kind, 96, 5, seed=2)))
    assert digest.hexdigest() == "f192b2d4b275f1b8cfad2f9858c79eb7340f5815c0e2e451e7532a04779d1d4a"


@pytest.mark.parametrize("kind", DRAWN_KINDS)
@pytest.mark.parametrize("size", [(8, 8), (17, 64), (64, 31)])
def test_holes_are_never_empty_and_never_full(kind: str, size: tuple[int, int]) -> None:
    drawer = HoleDrawer([HoleSettings(kind=kind)], *size)  # type: ignore[arg-type]
    rng = stream(0)
    for _ in range(100):
        hole_mask = drawer(rng)
        assert (hole_mask.shape, hole_mask.dtype, hole_mask.flags.writeable) == (size, np.uint8, True)
        assert 0 < hole_mask.sum() < hole_mask.size
        assert hole_mask.max() == 1


def test_a_folder_of_empty_masks_falls_back_to_the_centre(tmp_path: Path) -> None:
    Image.new("L", (32, 32)).save(tmp_path / "empty.png")
    drawer = HoleDrawer([HoleSettings(kind="files", path=str(tmp_path))], 16, 16)
    np.testing.assert_array_equal(drawer(stream(0)), centre_hole(16, 16, 8))


def test_kinds_are_chosen_in_proportion_to_their_weights() -> None:
    holes = [HoleSettings(kind="centre", size=size, weight=weight) for size, weight in ((2, 3.0), (4, 0.0), (6, 1.0))]
    drawer, rng = HoleDrawer(holes, 8, 8), stream(0)
    areas = [int(drawer(rng).sum()) for _ in range(2000)]
    assert set(areas) == {4, 36}
    assert areas.count(4) / len(areas) == pytest.approx(0.75, abs=0.03)


def test_a_pickled_drawer_draws_the_same_holes(tmp_path: Path) -> None:
    Image.fromarray(centre_hole(40, 40, 10) * 255).save(tmp_path / "a.png")
    drawer = HoleDrawer([HoleSettings(kind="strokes"), HoleSettings(kind="files", path=str(tmp_path))], 32, 32)
    copy = pickle.loads(pickle.dumps(drawer))
    first, second = stream(3), stream(3)
    assert all(np.array_equal(drawer(first), copy(second)) for _ in range(10))


def test_file_holes_are_mirrored_both_ways(tmp_path: Path) -> None:
    corner = np.zeros((16, 16), np.uint8)
    corner[:4, :4] = 255
    Image.fromarray(corner).save(tmp_path / "corner.png")
    drawer, rng = HoleDrawer([HoleSettings(kind="files", path=str(tmp_path))], 16, 16), stream(0)
    seen = {tuple(np.argwhere(drawer(rng))[0].tolist()) for _ in range(60)}
    assert seen == {(0, 0), (0, 12), (12, 0), (12, 12)}


def test_every_impossible_hole_is_reported_at_once() -> None:
    holes = [
        HoleSettings(kind="centre"),
        HoleSettings(kind="centre", size=64),
        HoleSettings(kind="files", weight=-1.0),
    ]
    with pytest.raises(SettingsError) as caught:
        HoleDrawer(holes, 64, 64)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "hole 0 (centre)",
        "hole 1 (centre)",
        "hole 2 (files)",
        "hole 2 (files)",
    ]


def test_a_missing_mask_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere does not exist"):
        HoleDrawer([HoleSettings(kind="files", path=str(tmp_path / "nowhere"))], 8, 8)
