"""Texture from known pixels: crisp, of the right class, the same every time, and of any image and hole."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from sgenet.batch import Prediction
from sgenet.inpainter import Inpainter, exemplar
from sgenet.inpainter.exemplar import copy_texture
from sgenet.inpainter.features import Features
from sgenet.inpainter.patches import fill_by_patches
from sgenet.inpainter.pyramid import Scene
from sgenet.label_space import LabelSpace


def stripes(height, width, period=6):
    """Horizontal stripes of two colours, (H, W, 3) in [-1, 1]."""
    bright = (np.arange(height) // (period // 2) % 2)[:, None, None] * np.float32(1.2) - np.float32(0.6)
    return np.broadcast_to(bright, (height, width, 3)).astype(np.float32)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).uniform(-0.8, 0.8, (height, width, 3)).astype(np.float32)


def box(height, width, rows, columns):
    hole = np.zeros((height, width), bool)
    hole[rows, columns] = True
    return hole


def grey(image):
    """What a network draws that knows the mean colour and no more."""
    return np.zeros_like(image) + image.mean(axis=(0, 1))


def down(filled):
    """How much the middle of the hole changes from row to row, as a share of that and from column to column."""
    middle = filled[52:76, 52:76]
    rows, columns = np.abs(np.diff(middle, axis=0)).mean(), np.abs(np.diff(middle, axis=1)).mean()
    return rows / (rows + columns)


def test_a_pattern_goes_on_through_the_hole_where_the_network_drew_grey():
    image = stripes(96, 96)
    hole = box(96, 96, slice(30, 60), slice(30, 60))
    filled = copy_texture(np.where(hole[..., None], 7.0, image).astype(np.float32), hole, hole, grey(image))
    assert np.abs(filled - image)[hole].mean() < 0.3 < 0.5 < np.abs(grey(image) - image)[hole].mean()
    np.testing.assert_array_equal(filled[~hole], image[~hole])


@pytest.mark.slow
@pytest.mark.parametrize("is_given", [True, False])
def test_texture_is_of_the_class_that_someone_gave_or_that_is_predicted(is_given):
    # Two textures of one mean: on the left fine columns, on the right fine rows.
    faint = np.float32(0.4)  # else the seam between the two costs more than a predicted class is worth
    columns, rows = stripes(128, 64).transpose(1, 0, 2)[:64] * faint, stripes(128, 64) * faint
    image = np.concatenate((np.broadcast_to(columns[:1, :64], (128, 64, 3)), rows), axis=1).copy()
    label = np.repeat(np.array([[0] * 64 + [1] * 64], np.uint8), 128, axis=0)
    hole = box(128, 128, slice(40, 88), slice(40, 88))

    def of_class(number):
        wanted = np.where(hole, np.uint8(number), label)
        confidence = np.ones(hole.shape, np.float32)
        return copy_texture(image, hole, hole, grey(image), wanted, confidence, hole if is_given else None)

    assert down(of_class(0)) < 0.3 < 0.7 < down(of_class(1))
    # Of a class that is nowhere else, some texture all the same.
    nowhere = of_class(2)[52:76, 52:76]
    assert np.abs(np.diff(nowhere, axis=0)).mean() + np.abs(np.diff(nowhere, axis=1)).mean() > 0.1


def test_the_colours_that_the_network_drew_decide_what_is_copied():
    # A dark and a bright texture around a hole in a grey frame that fits neither.
    image = noise(96, 192) * np.float32(0.2)
    image[:, :96] -= np.float32(0.4)
    image[:, 96:] += np.float32(0.4)
    hole, frame = box(96, 192, slice(32, 64), slice(80, 112)), box(96, 192, slice(28, 68), slice(76, 116))
    image[frame] = 0

    def brightness(shade):
        return copy_texture(image, hole, hole, np.full_like(image, shade))[40:56, 88:104].mean()

    assert brightness(-0.4) < -0.1 < 0.1 < brightness(0.4)


def test_rough_texture_gets_the_brightness_that_the_network_drew_and_keeps_its_contrast():
    image, hole = noise(96, 96), box(96, 96, slice(32, 64), slice(32, 64))
    dark, bright = (copy_texture(image, hole, hole, np.full_like(image, shade))[40:56, 40:56] for shade in (-0.3, 0.3))
    assert dark.mean() < -0.1 < 0.1 < bright.mean()
    assert min(dark.std(), bright.std()) > 0.9 * image.std()


def test_a_sky_keeps_its_brightness():
    image, hole = np.zeros((96, 96, 3), np.float32), box(96, 96, slice(32, 64), slice(32, 64))
    assert np.abs(copy_texture(image, hole, hole, np.full_like(image, 0.3))).max() < 0.02


@pytest.mark.slow
def test_texture_is_from_where_the_network_sees_what_it_expects_in_the_hole():
    columns, rows = stripes(128, 64).transpose(1, 0, 2)[:64], stripes(128, 64)
    image = 0.4 * np.concatenate((np.broadcast_to(columns[:1, :64], (128, 64, 3)), rows), axis=1)
    hole = box(128, 128, slice(40, 88), slice(40, 88))

    def filled(expected):
        planes = np.zeros((16, 16, 2), np.float32)
        planes[:, :8, 0] = planes[:, 8:, 1] = 1
        planes[5:11, 5:11] = expected
        return copy_texture(image, hole, hole, grey(image), features=Features(planes, 8))

    assert down(filled((1, 0))) < 0.4 < 0.6 < down(filled((0, 1)))


def test_features_are_found_between_their_places_and_repeated_beyond_the_last():
    planes = np.array([[[1, 0], [0, 1]]], np.float32)
    at = Features(planes, 8).at(np.array([3.0]), np.array([0.0, 4.0, 8.0, 12.0, 99.0]))
    left, right = np.array([1, -1]) / np.sqrt(2), np.array([-1, 1]) / np.sqrt(2)
    np.testing.assert_allclose(at[0], [left, left, [0, 0], right, right], atol=1e-6)


def test_in_the_sky_a_plain_part_costs_less_than_a_flare_of_the_same_colour():
    image = np.zeros((96, 96, 3), np.float32)
    image[40:48, 8:16] += 0.1 * (np.indices((8, 8)).sum(axis=0) % 2 * 2 - 1)[..., None]
    hole = box(96, 96, slice(32, 64), slice(40, 72))
    cost = exemplar._Guidance(Scene(image, hole, hole), None).cost
    middle, flare, plain = (np.array([row * 96 + column]) for row, column in ((48, 56), (44, 12), (80, 12)))
    assert cost(middle, plain) < 1e-3 < 0.03 < cost(middle, flare)


@pytest.mark.slow
def test_it_is_a_function_of_its_arguments_whoever_calls():
    image, hole = noise(64, 80), box(64, 80, slice(20, 44), slice(20, 60))
    alone = copy_texture(image, hole, hole, grey(image))
    before = torch.random.get_rng_state()
    other = box(64, 80, slice(10, 30), slice(30, 50))
    with ThreadPoolExecutor(4) as threads:
        running = [
            threads.submit(copy_texture, image, now, now, grey(image)) for _ in range(4) for now in (hole, other)
        ]
        results = [future.result() for future in running]
    for result in results[::2]:
        np.testing.assert_array_equal(result, alone)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_large_image_has_the_texture_of_its_full_size(monkeypatch):
    """What is copied from where is chosen at a smaller size, and copied at full size."""
    monkeypatch.setattr(exemplar, "_MOST_PIXELS", 500)
    image = noise(200, 240)
    hole = box(200, 240, slice(70, 130), slice(80, 170))
    filled = copy_texture(image, hole, hole, grey(image))
    np.testing.assert_array_equal(filled[~hole], image[~hole])
    # Halved twice and enlarged, noise would have a tenth of its contrast.
    assert filled[hole].std() > 0.6 * image[hole].std()


@pytest.mark.slow
@pytest.mark.parametrize("largest", [8_000, 100])
@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        ((1, 1), slice(0, 1), slice(0, 1)),
        ((5, 9), slice(1, 3), slice(2, 4)),
        ((37, 53), slice(0, 20), slice(33, 53)),
        ((64, 64), slice(0, 64), slice(20, 40)),
        ((64, 64), slice(0, 62), slice(0, 64)),
        ((64, 64), slice(0, 64), slice(0, 64)),
        ((40, 300), slice(10, 11), slice(0, 300)),
        ((50, 50), slice(9, 10), slice(9, 10)),
    ],
)
def test_any_image_and_hole_keeps_what_is_known_and_fills_with_finite_colours(
    size, rows, columns, largest, monkeypatch
):
    monkeypatch.setattr(exemplar, "_MOST_PIXELS", largest)
    image, hole = noise(*size), box(*size, rows, columns)
    filled = copy_texture(image, hole, hole, grey(image))
    np.testing.assert_array_equal(filled[~hole], image[~hole])
    assert np.isfinite(filled).all()
    assert (np.abs(filled[hole]) <= 1).all()


def test_where_nothing_can_be_copied_the_network_decides():
    image, hole = noise(64, 64), box(64, 64, slice(2, 62), slice(2, 62))
    drawn = noise(64, 64, seed=3)
    np.testing.assert_array_equal(copy_texture(image, hole, hole, drawn)[hole], drawn[hole])


def test_patchmatch_fills_what_the_repetitions_of_the_image_do_not_reach():
    image = noise(96, 96)
    hole = np.ones((96, 96), bool)
    hole[:, :14] = hole[:14] = False  # known at the left and at the top, less than the way to the far corner
    filled = copy_texture(image, hole, hole, grey(image))
    scene = Scene(np.where(hole[..., None], grey(image), image), hole, hole)
    beside = np.diff(np.where(hole[..., None], filled - fill_by_patches(scene), 0), axis=1)
    assert np.abs(beside).max() < 0.05  # but for its lowest frequencies
    assert filled[hole].std() > 0.5 * image[hole].std()


def test_what_is_transparent_is_neither_copied_nor_does_it_shine_through():
    image = noise(80, 80) * 0.2
    hole = box(80, 80, slice(30, 50), slice(30, 50))
    transparent = box(80, 80, slice(20, 60), slice(50, 80))
    image[transparent] = 1.0
    filled = copy_texture(image, hole, hole | transparent, np.zeros_like(image))
    assert filled[hole].max() < 0.35


class Grey(nn.Module):
    """Draws grey."""

    def forward(self, image, hole_mask):
        return Prediction(images=(image * 0,), label_logits=(torch.zeros_like(image[:, :2]),))


@pytest.mark.slow
def test_the_inpainter_takes_texture_from_the_image_when_asked():
    photo = np.rint((stripes(96, 96) + 1) * 127.5).astype(np.uint8)
    hole = box(96, 96, slice(30, 60), slice(30, 60))
    inpainter = Inpainter(Grey(), LabelSpace(("one", "two")))
    alone, copied = inpainter(photo, hole), inpainter(photo, hole, texture="exemplar")
    assert alone.image[hole].std() < 1
    assert copied.image[hole].std() > 40
    np.testing.assert_array_equal(copied.image[~hole], photo[~hole])
    again = inpainter.fill_many([photo, photo], [hole, hole], texture="exemplar")
    np.testing.assert_array_equal(again[1].image, copied.image)
    np.testing.assert_array_equal(copied.label, alone.label)
