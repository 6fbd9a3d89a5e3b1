"""What every baseline keeps, and what each of them is able to continue."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.evaluation.baselines import BASELINES, mean_colour


def _ramp(height: int = 40, width: int = 48) -> np.ndarray:
    horizontal = np.linspace(20, 220, width)
    return (
        np.stack([np.tile(horizontal * factor, (height, 1)) for factor in (1, 0.5, 0.25)], axis=-1)
        .round()
        .astype(np.uint8)
    )


def _hole(height: int = 40, width: int = 48) -> np.ndarray:
    hole_mask = np.zeros((height, width), np.uint8)
    hole_mask[12:28, 16:32] = 1
    return hole_mask


@pytest.mark.parametrize("name", BASELINES)
def test_known_pixels_are_untouched(name: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 48, 3)).astype(np.uint8)
    filled = BASELINES[name](image.copy(), _hole())
    assert filled.dtype == np.uint8
    assert (filled[_hole() == 0] == image[_hole() == 0]).all()


@pytest.mark.parametrize("name", BASELINES)
def test_what_lies_in_the_hole_is_not_seen(name: str) -> None:
    image, spoilt = _ramp(), _ramp()
    spoilt[_hole() > 0] = (255, 0, 255)
    assert (BASELINES[name](image, _hole()) == BASELINES[name](spoilt, _hole())).all()


@pytest.mark.parametrize(
    ("name", "tolerance"), [("telea", 20), ("navier_stokes", 20), ("biharmonic", 2), ("membrane", 5)]
)
def test_a_ramp_is_continued(name: str, tolerance: int) -> None:
    filled = BASELINES[name](_ramp(), _hole()).astype(int)
    assert np.abs(filled - _ramp())[_hole() > 0].mean() < tolerance


def test_mean_colour_by_hand() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[0] = [[10, 20, 30], [20, 40, 61]]
    hole_mask = np.array([[0, 0], [1, 1]], np.uint8)
    assert mean_colour(image, hole_mask)[1].tolist() == [[15, 30, 46]] * 2
