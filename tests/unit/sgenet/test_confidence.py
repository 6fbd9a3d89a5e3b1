"""Eq. 4: which pixels are reliable, by both readings of τ."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sgenet.methods.sge_net.confidence import (
    Rule,
    confidence_map,
    input_reliability,
    reliability_mask,
    threshold,
)


def _two_classes(highest: list[list[float]]) -> Tensor:
    """Probabilities (1, 2, H, W) whose larger one at each pixel is given."""
    largest = torch.tensor(highest)[None, None]
    return torch.cat((largest, 1 - largest), dim=1)


def _mask(highest: list[list[float]], rule: Rule, ratio: float) -> list[list[float]]:
    mask: list[list[float]] = reliability_mask(_two_classes(highest), rule, ratio)[0, 0].tolist()
    return mask


CONFIDENCES = [[0.5, 0.6, 0.7], [0.8, 0.9, 1.0]]
TIED = [[0.6, 0.6, 0.6], [0.6, 0.9, 0.9]]


def test_the_confidence_is_the_highest_class_probability() -> None:
    probabilities = torch.tensor([0.2, 0.5, 0.3, 0.1, 0.1, 0.8]).view(1, 2, 3, 1).transpose(1, 2)
    assert confidence_map(probabilities).flatten().tolist() == pytest.approx([0.5, 0.8])
    assert confidence_map(probabilities).shape == (1, 1, 2, 1)


@pytest.mark.parametrize(
    ("confidences", "ratio", "expected"),
    [
        (CONFIDENCES, 0.5, [[0, 0, 0], [1, 1, 1]]),  # τ = third of six = 0.7, which it does not exceed itself
        (CONFIDENCES, 0.4, [[0, 0, 0], [1, 1, 1]]),  # 2.4 of six: the third again
        (CONFIDENCES, 1 / 6, [[0, 1, 1], [1, 1, 1]]),
        (CONFIDENCES, 0.0, [[1, 1, 1], [1, 1, 1]]),
        (CONFIDENCES, 1.0, [[0, 0, 0], [0, 0, 0]]),
        (TIED, 0.5, [[0, 0, 0], [0, 1, 1]]),  # equal confidences share their fate
        (TIED, 0.8, [[0, 0, 0], [0, 0, 0]]),
    ],
)
def test_the_quantile_rule_by_hand(confidences: list[list[float]], ratio: float, expected: list[list[int]]) -> None:
    assert _mask(confidences, "quantile", ratio) == expected


@pytest.mark.parametrize(
    ("confidences", "ratio", "expected"),
    [
        (CONFIDENCES, 0.75, [[0, 0, 0], [1, 1, 1]]),  # τ = 0.75 × 1.0
        (CONFIDENCES, 0.5, [[0, 1, 1], [1, 1, 1]]),  # 0.5 does not exceed 0.5
        (CONFIDENCES, 0.0, [[1, 1, 1], [1, 1, 1]]),
        (CONFIDENCES, 1.0, [[0, 0, 0], [0, 0, 0]]),
        (TIED, 0.6, [[1, 1, 1], [1, 1, 1]]),  # τ = 0.54
        (TIED, 0.7, [[0, 0, 0], [0, 1, 1]]),  # τ = 0.63
    ],
)
def test_the_fraction_of_the_largest_by_hand(
    confidences: list[list[float]], ratio: float, expected: list[list[int]]
) -> None:
    assert _mask(confidences, "fraction_of_max", ratio) == expected


@pytest.mark.parametrize("rule", ["quantile", "fraction_of_max"])
def test_each_image_has_a_threshold_of_its_own(rule: Rule) -> None:
    sure, unsure = _two_classes([[0.9, 1.0]]), _two_classes([[0.5, 0.6]])
    together = threshold(confidence_map(torch.cat((sure, unsure))), rule, 0.5)
    assert together.shape == (2, 1, 1, 1)
    alone = [float(threshold(confidence_map(probabilities), rule, 0.5)) for probabilities in (sure, unsure)]
    assert together.flatten().tolist() == alone
    assert alone[0] > alone[1]


@pytest.mark.parametrize("rule", ["quantile", "fraction_of_max"])
def test_no_gradient_passes_through_the_mask(rule: Rule) -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    mask = reliability_mask(logits.softmax(dim=1), rule, 0.5)
    assert not mask.requires_grad


def test_at_the_coarsest_scale_one_missing_pixel_makes_its_whole_cell_unreliable() -> None:
    hole_mask = torch.zeros(1, 1, 32, 48)
    hole_mask[0, 0, 15, 16] = 1  # the last row of the first cells, the first column of the second
    assert input_reliability(hole_mask, 16)[0, 0].tolist() == [[1, 0, 1], [1, 1, 1]]


@pytest.mark.parametrize("ratio", [0.2, 0.3, 0.4, 0.5])
def test_the_threshold_is_the_kth_smallest_confidence(ratio: float) -> None:
    """Also where many are equal, and where ratio × pixels is a whole number."""
    for pixels in (10, 64, 77, 900):
        confidence = torch.rand(2, 1, 1, pixels, generator=torch.Generator().manual_seed(pixels))
        confidence[1] = (confidence[1] * 5).round() / 5
        expected = confidence.flatten(1).kthvalue(math.ceil(ratio * pixels), dim=1).values
        assert torch.equal(threshold(confidence, "quantile", ratio).flatten(), expected)
