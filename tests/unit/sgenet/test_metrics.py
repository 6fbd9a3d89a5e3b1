"""Scores against scikit-image and against numbers worked by hand."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import astuple
from unittest import mock

import numpy as np
import pytest
import torch
from scipy.ndimage import maximum_filter
from skimage.color import rgb2gray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from sgenet.evaluation import metrics
from sgenet.evaluation.evaluator import SCORE_NAMES, Evaluator
from sgenet.evaluation.metrics import (
    BOUNDARY_WIDTH,
    MAX_PSNR,
    ImageScores,
    confusion_matrices,
    mean_iou,
    pixel_accuracy,
    score_images,
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


def score_image(inpainted: Tensor, original: Tensor, hole_mask: Tensor) -> ImageScores:
    [scores] = score_images(inpainted[None], original[None], hole_mask[None])
    return scores


def confusion_matrix(predicted: Tensor, label: Tensor, num_classes: int, region: Tensor | None = None) -> Tensor:
    [matrix] = confusion_matrices(predicted[None], label[None], num_classes, None if region is None else region[None])
    return matrix


def _expected(inpainted: Tensor, original: Tensor, hole_mask: Tensor) -> list[float]:
    """By scikit-image and NumPy."""
    pair = [image.permute(1, 2, 0).numpy() for image in (original, inpainted)]
    hole = hole_mask[0].numpy() > 0
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    ssim, full = structural_similarity(*pair, **settings, channel_axis=-1, full=True)
    difference = np.abs(pair[0].astype(float) - pair[1])
    band = hole & (maximum_filter(~hole, 2 * BOUNDARY_WIDTH + 1, mode="constant"))
    similar = full.mean(axis=-1)[5:-5, 5:-5][hole[5:-5, 5:-5]]
    wide = structural_similarity(*(rgb2gray(image) for image in pair), data_range=1, win_size=51)
    psnr = [peak_signal_noise_ratio(*pair, data_range=255) if difference.any() else MAX_PSNR]
    psnr += [20 * np.log10(255 / np.sqrt((difference[hole] ** 2).mean())) if hole.any() else math.nan]
    l1 = [difference[region].mean() / 255 if region.any() else math.nan for region in (hole | True, hole, band)]
    return [*psnr, ssim, similar.mean() if len(similar) else math.nan, *l1, hole.mean(), wide]


def _hole_of(kind: str) -> Tensor:
    hole_mask = torch.zeros(1, 70, 90, dtype=torch.uint8)
    places = {
        "none": [],
        "all": [(0, 70, 0, 90)],
        "in a corner": [(0, 4, 80, 90)],
        "two": [(9, 40, 20, 80), (60, 61, 3, 4)],
    }
    for top, bottom, left, right in places[kind]:
        hole_mask[:, top:bottom, left:right] = 1
    return hole_mask


HOLES = ("none", "all", "in a corner", "two")


@pytest.mark.parametrize("kind", HOLES)
def test_scores_are_those_of_scikit_image(kind: str) -> None:
    original, hole_mask = _image(0, 70, 90), _hole_of(kind)
    inpainted = torch.where(hole_mask > 0, _image(1, 70, 90), original)
    scores = score_image(inpainted, original, hole_mask)
    assert astuple(scores) == pytest.approx(_expected(inpainted, original, hole_mask), abs=1e-9, nan_ok=True)


def test_images_together_have_the_scores_of_each_alone() -> None:
    """As a GPU scores them."""
    images = torch.stack([_image(seed, 70, 90) for seed in range(4)])
    holes = torch.stack([_hole_of(kind) for kind in HOLES])
    filled = torch.where(holes > 0, images.roll(1, dims=0), images)
    together = metrics._scores(filled, images, holes).tolist()
    for row, scores in zip(together, score_images(filled, images, holes), strict=True):
        assert row == pytest.approx(astuple(scores), abs=1e-12, nan_ok=True)


def test_ssim_keeps_its_digits_in_a_bright_sky() -> None:
    """Float32 is off by 2e-4 here."""
    rng = np.random.default_rng(2)
    sky = [torch.from_numpy(rng.integers(249, 252, (3, 64, 64)).astype(np.float64)) for _ in range(2)]
    reference = structural_similarity_index_measure(
        sky[0][None], sky[1][None], sigma=1.5, data_range=255.0, return_full_image=True
    )[1][0, :, 5:-5, 5:-5]
    assert ssim_map(sky[0][None], sky[1][None]).mean().item() == pytest.approx(reference.mean().item(), abs=1e-9)


def test_ssim_of_edgeconnect_needs_one_whole_window() -> None:
    assert math.isnan(score_image(_image(0, 50, 80), _image(1, 50, 80), _hole(50, 80)).ssim_edgeconnect)
    same = _image(0, 51, 51)
    assert score_image(same, same, _hole(51, 51)).ssim_edgeconnect == pytest.approx(1)


def test_boundary_error_sees_only_the_band_inside_the_hole() -> None:
    original = torch.zeros(3, 20, 20, dtype=torch.uint8)
    hole_mask = torch.zeros(1, 20, 20, dtype=torch.uint8)
    hole_mask[:, 4:16, 4:16] = 1
    inpainted = original.clone()
    inpainted[:, 8:12, 8:12] = 255  # wrong in the middle, right along the border
    assert score_image(inpainted, original, hole_mask).l1_boundary == 0
    inpainted[:, 7:13, 7:13] = 255
    # Of the band of 4 pixels (12 × 12 - 4 × 4), 6 × 6 - 4 × 4 are wrong.
    assert score_image(inpainted, original, hole_mask).l1_boundary == pytest.approx(20 / 128)


def test_a_hole_filled_without_any_error_has_the_largest_psnr_and_not_infinity() -> None:
    scores = score_image(_image(0), _image(0), _hole())
    assert scores.psnr == scores.psnr_hole == MAX_PSNR
    assert scores.ssim == scores.ssim_hole == pytest.approx(1)


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


def test_the_matrices_of_a_batch_are_those_of_each_image() -> None:
    rng = np.random.default_rng(5)
    predicted, label = (torch.from_numpy(rng.integers(0, 3, (4, 6, 7))) for _ in range(2))
    label[:, :2] = 255
    label[3] = 255
    region = torch.from_numpy(rng.random((4, 6, 7)) < 0.5)
    found = confusion_matrices(predicted, label.to(torch.uint8), 3, region)
    for index in range(4):
        counted = (label[index] != 255) & region[index]
        pairs = zip(label[index][counted].tolist(), predicted[index][counted].tolist(), strict=True)
        expected = Counter(pairs)
        assert found[index].tolist() == [[expected[row, column] for column in range(3)] for row in range(3)]
    assert int(found[3].sum()) == 0


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


def test_what_no_image_has_is_left_out_of_the_summary() -> None:
    evaluator = Evaluator(num_classes=2)
    images, no_hole = _image(0)[None], torch.zeros_like(_hole())[None]
    unlabelled = torch.full((1, *images.shape[2:]), 255)
    evaluator.update(images, images, no_hole, unlabelled, torch.zeros_like(unlabelled))
    assert evaluator.summary().keys() == {"psnr", "ssim", "l1", "hole_ratio"}


def test_a_batch_is_scored_on_its_device_and_read_twice() -> None:
    """On the device ``meta`` any other look at a number raises."""
    read = []

    def stand_in(tensor: Tensor) -> Tensor:
        read.append((tensor.device.type, tensor.shape))
        return torch.zeros(tensor.shape, dtype=tensor.dtype)

    evaluator = Evaluator(num_classes=4)
    uint8 = {"dtype": torch.uint8, "device": "meta"}
    images, labels = torch.empty(5, 3, 64, 64, **uint8), torch.empty(5, 64, 64, **uint8)
    with (
        mock.patch.object(Tensor, "tolist", lambda tensor: stand_in(tensor).numpy().tolist()),
        mock.patch.object(Tensor, "cpu", stand_in),
    ):
        evaluator.update(images, images, images[:, :1], labels, labels)
    assert read == [("meta", (5, len(SCORE_NAMES))), ("meta", (5, 2, 4, 4))]
    assert len(evaluator.scores) == len(evaluator.segmentation) == 5
