"""Which group an image is counted in, and what confidence and reliability are averaged over."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sgenet.evaluation.confidence import hole_confidence, label_confidence, unreliable_share
from sgenet.evaluation.strata import count_classes, hole_ratio_bin, ratio_bins, stratum


def test_a_class_counts_from_half_a_percent_on() -> None:
    label = np.zeros((20, 20), np.uint8)  # 400 pixels: half a percent is 2
    label[0, 0] = 1
    assert count_classes(label) == 1
    label[0, 1] = 1
    assert count_classes(label) == 2


def test_ignored_pixels_are_no_class() -> None:
    label = np.full((8, 8), 255, np.uint8)
    assert count_classes(label) == 0
    assert stratum(0) == "unlabelled"


@pytest.mark.parametrize(
    ("num_classes", "expected"), [(1, "low"), (2, "low"), (3, "moderate"), (4, "moderate"), (5, "high"), (8, "high")]
)
def test_strata_are_those_of_table_2(num_classes: int, expected: str) -> None:
    assert stratum(num_classes) == expected


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(0.005, "below 0.01"), (0.01, "0.01–0.1"), (0.0999, "0.01–0.1"), (0.1, "0.1–0.2"), (0.2, "0.2 and above")],
)
def test_bins_hold_their_lower_bound_and_not_their_upper(ratio: float, expected: str) -> None:
    edges = (0.01, 0.1, 0.2)
    assert hole_ratio_bin(ratio, edges) == expected
    assert expected in ratio_bins(edges)


def test_confidence_is_averaged_over_the_hole_alone() -> None:
    confidence = torch.full((2, 4, 4), 0.9)
    confidence[:, :2, :2] = 0.4
    hole_mask = torch.zeros(2, 1, 4, 4)
    hole_mask[0, :, :2, :2] = 1
    means = hole_confidence(confidence, hole_mask)
    assert means[0].item() == pytest.approx(0.4)
    assert math.isnan(means[1])


def test_confidence_is_the_probability_of_the_predicted_class() -> None:
    logits = torch.tensor([0.0, math.log(3.0), 0.0]).view(1, 3, 1, 1)
    label, confidence = label_confidence(logits)
    assert label.item() == 1
    assert confidence.item() == pytest.approx(3 / 5)


def test_unreliable_share_of_the_hole_counts_map_pixels_that_touch_it() -> None:
    reliability = torch.ones(1, 1, 2, 2)
    reliability[..., 0, 0] = 0
    hole_mask = torch.zeros(1, 1, 8, 8)
    hole_mask[..., 3:5, 3] = 1  # touches the two map pixels of the left column
    assert unreliable_share(reliability).item() == 0.25
    assert unreliable_share(reliability, hole_mask).item() == 0.5
