"""Scores against scikit-image and against numbers worked by hand."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
import torch
from skimage.color import rgb2gray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from sgenet.evaluation.evaluator import Evaluator
from sgenet.evaluation.metrics import (
    MAX_PSNR,
    boundary_band,
    confusion_matrix,
    mean_iou,
    pixel_accuracy,
    score_image,
    ssim_map,
)


def _image(seed: int, height: int = 40, width: int = 52) -> Tensor:
    """A smooth ramp with noise: structure for SSIM to compare, and no two alike."""
    rng = np.random.default_rng(seed)
    ramp = np.add.outer(np.linspace(0, 120, height), np.linspace(0, 100, width))
    noisy = ramp[None] + rng.normal(0, 15, (3, height, width))
    return torch.from_numpy(noisy.clip(0, 255).round().astype(np.uint8))


def _hole(height: int = 40, width: int = 52) -> Tensor:
    hole_mask = torch.zeros(1, height, width, dtype=torch.uint8)
    hole_mask[:, 12:30, 3:40] = 1
    return hole_mask


def _filled(original: Tensor, hole_mask: Tensor, seed: int) -> Tensor:
    return torch.where(hole_mask > 0, _image(seed), original)


def test_psnr_and_ssim_equal_those_of_scikit_image() -> None:
    original, hole_mask = _image(0), _hole()
    inpainted = _filled(original, hole_mask, 1)
    scores = score_image(inpainted, original, hole_mask)
    pair = original.permute(1, 2, 0).numpy(), inpainted.permute(1, 2, 0).numpy()
    similarity, full = structural_similarity(
        *pair,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=-1,
        full=True,
    )
    inside = hole_mask[0, 5:-5, 5:-5].numpy() > 0
    assert scores.psnr == pytest.approx(peak_signal_noise_ratio(*pair, data_range=255), abs=1e-4)
    assert scores.ssim == pytest.approx(similarity, abs=1e-4)
    assert scores.ssim_hole == pytest.approx(full.mean(axis=-1)[5:-5, 5:-5][inside].mean(), abs=1e-4)


def test_ssim_keeps_its_digits_in_a_bright_sky() -> None:
    """Float32 is off by 2e-4 here."""
    rng = np.random.default_rng(2)
    sky = [torch.from_numpy(rng.integers(249, 252, (3, 64, 64)).astype(np.float64)) for _ in range(2)]
    reference = structural_similarity_index_measure(
        sky[0][None], sky[1][None], sigma=1.5, data_range=255.0, return_full_image=True
    )[1][0, :, 5:-5, 5:-5]
    assert ssim_map(*sky).mean().item() == pytest.approx(reference.mean().item(), abs=1e-9)


def test_ssim_of_edgeconnect_equals_the_call_of_its_script() -> None:
    """Grey images in 0–1, scikit-image's flat window of 51 pixels and its other defaults."""
    original, hole_mask = _image(0, 70, 90), _hole(70, 90)
    inpainted = torch.where(hole_mask > 0, _image(1, 70, 90), original)
    grey = [rgb2gray(image.permute(1, 2, 0).numpy()) for image in (original, inpainted)]
    scores = score_image(inpainted, original, hole_mask)
    assert scores.ssim_edgeconnect == pytest.approx(structural_similarity(*grey, data_range=1, win_size=51), abs=1e-9)
    assert abs(scores.ssim_edgeconnect - scores.ssim) > 0.01  # the other protocol would not pass for this one


def test_ssim_of_edgeconnect_needs_one_whole_window() -> None:
    assert math.isnan(score_image(_image(0, 50, 80), _image(1, 50, 80), _hole(50, 80)).ssim_edgeconnect)
    same = _image(0, 51, 51)
    assert score_image(same, same, _hole(51, 51)).ssim_edgeconnect == pytest.approx(1)


def test_hole_scores_by_hand() -> None:
    original = torch.full((3, 16, 16), 100, dtype=torch.uint8)
    hole_mask = torch.zeros(1, 16, 16, dtype=torch.uint8)
    hole_mask[:, 4:12, 4:12] = 1  # a quarter of the image
    inpainted = original.clone()
    inpainted[:, 4:12, 4:12] = 110
    scores = score_image(inpainted, original, hole_mask, boundary_width=1)
    assert scores.hole_ratio == 0.25
    assert scores.psnr_hole == pytest.approx(20 * math.log10(255 / 10))
    assert scores.psnr == pytest.approx(10 * math.log10(255**2 / 25))
    assert scores.l1_hole == pytest.approx(10 / 255)
    assert scores.l1 == pytest.approx(2.5 / 255)


def test_boundary_error_sees_only_the_band_inside_the_hole() -> None:
    original = torch.zeros(3, 16, 16, dtype=torch.uint8)
    hole_mask = torch.zeros(1, 16, 16, dtype=torch.uint8)
    hole_mask[:, 4:12, 4:12] = 1
    inpainted = original.clone()
    inpainted[:, 6:10, 6:10] = 255  # wrong in the middle, right along the border
    assert score_image(inpainted, original, hole_mask, boundary_width=2).l1_boundary == 0
    # Of the band of 3 pixels (64 - 2 × 2 of 8 × 8), 16 - 4 are wrong.
    assert score_image(inpainted, original, hole_mask, boundary_width=3).l1_boundary == pytest.approx(12 / 60)


def test_boundary_band_does_not_take_the_image_border_for_a_hole_border() -> None:
    hole = torch.zeros(8, 8, dtype=torch.bool)
    hole[:, :4] = True
    assert boundary_band(hole, 1).nonzero()[:, 1].unique().tolist() == [3]


def test_identical_images_get_the_documented_largest_psnr() -> None:
    original = _image(0)
    scores = score_image(original, original, _hole())
    assert scores.psnr == scores.psnr_hole == MAX_PSNR
    assert scores.ssim == pytest.approx(1)
    assert scores.l1 == 0


def test_without_a_hole_its_scores_do_not_exist() -> None:
    scores = score_image(_image(0), _image(1), torch.zeros_like(_hole()))
    assert math.isnan(scores.psnr_hole)
    assert math.isnan(scores.l1_boundary)
    assert math.isfinite(scores.psnr)


def test_float_images_are_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        score_image(_image(0).float(), _image(0).float(), _hole())


def test_mean_iou_and_accuracy_by_hand() -> None:
    label = torch.tensor([[0, 0, 1, 1], [2, 2, 255, 255]])
    predicted = torch.tensor([[0, 1, 1, 1], [2, 0, 0, 1]])
    matrix = confusion_matrix(predicted, label, num_classes=4)
    assert matrix.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    # Class 3 is neither true nor predicted: it does not count. IoU 1/3, 2/3, 1/2.
    assert mean_iou(matrix) == pytest.approx((1 / 3 + 2 / 3 + 1 / 2) / 3)
    assert pixel_accuracy(matrix) == pytest.approx(4 / 6)


def test_the_region_limits_what_counts() -> None:
    label = torch.tensor([[0, 0], [1, 1]])
    predicted = torch.tensor([[1, 0], [1, 0]])
    left = torch.tensor([[True, False], [True, False]])
    assert confusion_matrix(predicted, label, 2, region=left).tolist() == [[0, 1], [0, 1]]


def test_an_image_without_labels_adds_nothing() -> None:
    label = torch.full((4, 4), 255)
    matrix = confusion_matrix(torch.zeros(4, 4, dtype=torch.int64), label, 3)
    assert matrix.sum() == 0
    assert math.isnan(mean_iou(matrix))


def test_mean_iou_comes_from_one_accumulated_matrix() -> None:
    """Not from a mean of per-image values, in which a rare class of one image would weigh too much."""
    evaluator = Evaluator(num_classes=2)
    image = torch.zeros(2, 3, 16, 16, dtype=torch.uint8)
    hole_mask = torch.zeros(2, 1, 16, 16, dtype=torch.uint8)
    hole_mask[:, :, :8] = 1
    label = torch.zeros(2, 16, 16, dtype=torch.int64)
    label[1, 0, 0] = 1
    evaluator.update(image, image, hole_mask, label, torch.zeros_like(label))
    assert evaluator.summary()["miou"] == pytest.approx((511 / 512 + 0) / 2)
    assert evaluator.summary()["miou_hole"] == pytest.approx((255 / 256 + 0) / 2)
    assert evaluator.summary()["pixel_accuracy"] == pytest.approx(511 / 512)
    assert evaluator.summary()["pixel_accuracy_hole"] == pytest.approx(255 / 256)


def _rows(evaluator: Evaluator) -> np.ndarray:
    return np.array([astuple(scores) for scores in evaluator.scores])


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_results_do_not_depend_on_the_batch_size(batch_size: int) -> None:
    images = torch.stack([_image(seed) for seed in range(5)])
    holes = torch.stack([_hole().roll(seed, dims=1) for seed in range(5)])
    filled = torch.stack(
        [_filled(image, hole, 10 + seed) for seed, (image, hole) in enumerate(zip(images, holes, strict=True))]
    )
    labels = (images[:, 0] // 64).long()
    predicted = (filled[:, 0] // 64).long()

    def evaluate(size: int) -> Evaluator:
        evaluator = Evaluator(num_classes=4)
        for first in range(0, 5, size):
            part = slice(first, first + size)
            evaluator.update(filled[part], images[part], holes[part], labels[part], predicted[part])
        return evaluator

    assert np.array_equal(*(_rows(evaluate(size)) for size in (batch_size, 3)), equal_nan=True)
    assert evaluate(batch_size).summary() == evaluate(3).summary()
