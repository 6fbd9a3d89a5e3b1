"""Crops cover what is asked for once, with context, and fade into one another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgenet.inpainter.crops import plan_crops

SIDE = 32


@st.composite
def asked_pixels(draw):
    """Rectangles and lines of an image of any size, overlapping or not."""
    height, width = draw(st.integers(1, 200)), draw(st.integers(1, 200))
    asked = np.zeros((height, width), bool)
    for _ in range(draw(st.integers(0, 4))):
        top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
        asked[top : top + draw(st.integers(1, 150)), left : left + draw(st.integers(1, 150))] = True
    return asked


@settings(max_examples=60, deadline=None)
@given(asked_pixels())
def test_every_pixel_is_asked_for_once_in_a_crop_that_holds_it(asked):
    weights, nearest = np.zeros(asked.shape), np.zeros(asked.shape, int)
    for crop in plan_crops(asked, SIDE):
        height, width = crop.rows.stop - crop.rows.start, crop.columns.stop - crop.columns.start
        assert (height, width) == (min(SIDE, asked.shape[0]), min(SIDE, asked.shape[1]))
        for inner, outer, length in zip(crop.where, (crop.rows, crop.columns), asked.shape, strict=True):
            assert 0 <= outer.start <= inner.start < inner.stop <= outer.stop <= length
            # Context on both sides, but where the image ends.
            assert inner.start - outer.start >= SIDE // 8 or outer.start == 0
            assert outer.stop - inner.stop >= SIDE // 8 or outer.stop == length
        weights[crop.where] += crop.weight
        nearest[crop.where] += crop.nearest
    np.testing.assert_allclose(weights, asked, atol=1e-5)
    np.testing.assert_array_equal(nearest, asked)


def test_a_small_hole_lies_in_the_middle_of_one_crop_and_distant_ones_have_their_own():
    asked = np.zeros((300, 300), bool)
    asked[100:110, 150:166] = asked[200:204, 20:24] = True
    first, second = plan_crops(asked, SIDE)
    assert (first.rows, first.columns) == (slice(89, 121), slice(142, 174))
    assert (second.rows, second.columns) == (slice(186, 218), slice(6, 38))


def test_specks_close_to_each_other_share_a_crop():
    asked = np.zeros((300, 300), bool)
    asked[100:112:4, 100:112:4] = True
    assert len(list(plan_crops(asked, SIDE))) == 1


def test_a_crop_asks_for_nothing_of_another_part_that_its_square_contains():
    asked = np.zeros((64, 64), bool)
    asked[4:60, 4] = asked[59, 4:60] = True  # an L …
    asked[20:24, 40:44] = True  # … around a speck
    speck = np.zeros_like(asked)
    speck[20:24, 40:44] = True
    with_speck = [crop for crop in plan_crops(asked, SIDE) if speck[crop.where][crop.weight > 0].any()]
    assert len(with_speck) == 1
    assert (with_speck[0].weight > 0).sum() == 16


@pytest.mark.parametrize("length", [33, 64, 100, 1000])
def test_neighbouring_crops_change_a_pixels_weight_slowly(length):
    weights = [crop.weight[0] for crop in plan_crops(np.ones((1, length), bool), SIDE)]
    assert len(weights) > 1
    steps = [np.abs(np.diff(weight)).max() for weight in weights]
    assert max(steps) <= 1 / (SIDE // 4) + 1e-6
    assert all(weight[0] < 0.1 for weight in weights[1:])
