"""Scores of a segmenter, by hand."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import Tensor

from sgenet.evaluation.segmenter_scores import SegmenterScores


def probabilities(*pixels: tuple[float, ...]) -> Tensor:
    """(1, C, 1, N): a row of pixels."""
    return torch.tensor(pixels).T.reshape(1, len(pixels[0]), 1, len(pixels))


def test_scores_by_hand() -> None:
    scores = SegmenterScores(num_classes=2, threshold=0.7)
    seen = probabilities((0.9, 0.1), (0.6, 0.4), (0.2, 0.8), (0.75, 0.25), (0.5, 0.5))
    scores.update(seen, torch.tensor([[[0, 1, 1, 1, 255]]]))
    assert scores.confusion.tolist() == [[1, 0, 0], [2, 1, 0]]
    assert scores.trusted.tolist() == [[1, 0], [1, 1]]
    assert scores.class_ious() == pytest.approx([1 / 3, 1 / 3])
    assert scores.summary() == {
        "miou": pytest.approx(1 / 3),
        "pixel_accuracy": pytest.approx(0.5),
        "calibration_error": pytest.approx((0.1 + 0.6 + 0.2 + 0.75) / 4),
        "trusted_share": pytest.approx(0.75),
        "trusted_miou": pytest.approx(0.5),
        "trusted_pixel_accuracy": pytest.approx(2 / 3),
    }


def test_calibration_by_hand() -> None:
    scores = SegmenterScores(num_classes=2)
    scores.update(
        probabilities((0.96, 0.04), (0.02, 0.98), (0.39, 0.61), (0.99, 0.01)), torch.tensor([[[0, 0, 1, 255]]])
    )
    assert scores.calibration() == [
        pytest.approx({"share": 1 / 3, "confidence": 0.61, "accuracy": 1.0}),
        pytest.approx({"share": 2 / 3, "confidence": 0.97, "accuracy": 0.5}),
    ]
    assert scores.summary()["calibration_error"] == pytest.approx((abs(0.61 - 1) + abs(1.94 - 1)) / 3)


def test_a_pixel_given_none_of_the_classes_is_not_trusted_and_not_forgotten() -> None:
    scores = SegmenterScores(num_classes=2)
    scores.update(probabilities((0.1, 0.1, 0.8), (0.9, 0.0, 0.1)), torch.tensor([[[0, 0]]]))
    assert scores.confusion.tolist() == [[1, 0, 1], [0, 0, 0]]
    assert scores.summary()["trusted_share"] == pytest.approx(0.5)
    assert scores.summary()["miou"] == scores.summary()["pixel_accuracy"] == pytest.approx(0.5)
    assert scores.class_ious()[0] == pytest.approx(0.5)


def test_blocks_of_images_add_up() -> None:
    rng = torch.Generator().manual_seed(4)
    seen = torch.rand(4, 3, 5, 6, generator=rng).softmax(dim=1)
    label = torch.randint(3, (4, 5, 6), generator=rng)
    whole, parts = SegmenterScores(3, 0.4), SegmenterScores(3, 0.4)
    whole.update(seen, label)
    for image in range(4):
        block = SegmenterScores(3, 0.4)
        block.update(seen[image : image + 1], label[image : image + 1])
        if image % 2:
            parts.extend(block)
        else:
            parts.add_numbers(json.loads(json.dumps(block.to_numbers())))
    assert parts.summary() == pytest.approx(whole.summary())
    assert torch.equal(parts.confusion, whole.confusion)
    assert parts.calibration() == [pytest.approx(row) for row in whole.calibration()]
    assert (parts.num_images, parts.num_labelled) == (4, 4 * 5 * 6)


def test_nothing_labelled_is_no_score() -> None:
    scores = SegmenterScores(2)
    scores.update(probabilities((0.9, 0.1)), torch.tensor([[[255]]]))
    assert all(math.isnan(value) for value in scores.summary().values())
