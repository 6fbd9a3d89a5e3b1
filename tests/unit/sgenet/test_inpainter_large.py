"""Images larger than the network works on: same contract, no seams, and what lies deep follows the overview."""

from __future__ import annotations

import subprocess
import sys
import warnings
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import NUM_CLASSES, small_recipe
from torch import nn

from sgenet.batch import Prediction
from sgenet.errors import DataError
from sgenet.inpainter import Inpainter
from sgenet.label_space import LabelSpace
from sgenet.methods.build import build_generator

SIDE = 32
LABELS = LabelSpace(("dark", "bright", "never"))


class Recorder(nn.Module):
    """Counts what it is asked and remembers the sizes."""

    def __init__(self):
        super().__init__()
        self.sizes: list[tuple[int, int]] = []

    def forward(self, image, hole_mask, guide=None):
        self.sizes.append(tuple(image.shape[2:]))
        return self.draw(image, hole_mask)

    def draw(self, image, hole_mask):
        return Prediction(images=(torch.where(hole_mask > 0.5, 0.0, image),))


class Moody(Recorder):
    """Draws another grey at every call: crops that agree on nothing."""

    def draw(self, image, hole_mask):
        grey = np.random.default_rng(len(self.sizes)).uniform(-0.9, 0.9)
        return Prediction(images=(torch.full_like(image, grey),))


class Planar(Recorder):
    """Continues brightness as the plane through what it sees; calls bright pixels class 1."""

    def draw(self, image, hole_mask):
        height, width = image.shape[2:]
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        terms = torch.stack((torch.ones_like(rows), rows, columns), dim=-1).double()
        known = hole_mask[0, 0] < 0.5
        plane = torch.zeros(height, width, 3, dtype=torch.float64)
        if known.any():
            colours = image[0].permute(1, 2, 0).double()
            plane = terms @ torch.linalg.lstsq(terms[known], colours[known], driver="gelsd").solution
        drawn = plane.permute(2, 0, 1)[None].float()
        bright = (drawn.mean(dim=1, keepdim=True) > 0).float()
        logits = torch.log(torch.cat((0.9 - 0.8 * bright, 0.1 + 0.8 * bright, bright * 0 + 1e-12), dim=1))
        return Prediction(images=(drawn,), label_logits=(logits,))


def slope(height: int, width: int) -> np.ndarray:
    """An image that brightens evenly from 20 to 220 to the right and a little downward."""
    rows, columns = np.mgrid[0:height, 0:width]
    brightness = 20 + 180 * columns / width + 20 * rows / height
    return np.repeat(brightness[..., None].round().astype(np.uint8), 3, axis=2)


def inpainter_of(generator, **settings):
    return Inpainter(generator, LABELS, working_side=SIDE, **settings)


@cache
def real(name: str = "sge_net") -> Inpainter:
    return inpainter_of(build_generator(name, small_recipe(), NUM_CLASSES), method_name=name)


def square_hole(size, top, left, height, width):
    hole = np.zeros(size, bool)
    hole[top : top + height, left : left + width] = True
    return hole


@st.composite
def images_and_holes(draw):
    """Any size and aspect up to several working sides, and any share of it missing."""
    height, width = draw(st.integers(1, 110)), draw(st.integers(1, 110))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    photo = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    kind = draw(st.sampled_from(["empty", "full", "specks", "rectangle"]))
    hole = np.full((height, width), kind == "full")
    if kind == "specks":
        hole = rng.random((height, width)) < 0.02
    if kind == "rectangle":
        rows, columns = (sorted(rng.integers(0, length + 1, 2)) for length in (height, width))
        hole[rows[0] : rows[1], columns[0] : columns[1]] = True
    return photo, hole


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(images_and_holes())
def test_any_size_and_hole_keeps_known_pixels_and_gives_the_same_twice(sample):
    photo, hole = sample
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first, second = real()(photo, hole), real()(photo, hole)
    np.testing.assert_array_equal(first.image[~hole], photo[~hole])
    assert first.label.shape == first.confidence.shape == first.hole.shape == photo.shape[:2]
    assert np.isfinite(first.confidence).all()
    assert first.confidence.min() >= 0
    assert first.confidence.max() <= 1 + 1e-5
    np.testing.assert_array_equal(first.image, second.image)
    np.testing.assert_array_equal(first.confidence, second.confidence)


@pytest.mark.parametrize("size", [(1, 2), (1, 500), (500, 1), (17, 3), (1000, 2)])
def test_extreme_aspects_are_filled(size):
    photo = np.full((*size, 3), 90, np.uint8)
    hole = np.zeros(size, bool)
    hole[size[0] // 2 :, size[1] // 2 :] = True
    inpainted = inpainter_of(Planar())(photo, hole)
    np.testing.assert_allclose(inpainted.image.astype(int), 90, atol=1)


def test_up_to_one_and_a_half_working_sides_it_is_one_pass():
    photo = np.random.default_rng(0).integers(0, 256, (48, 40, 3), dtype=np.uint8)
    hole = square_hole((48, 40), 10, 5, 25, 30)
    generator = build_generator("sge_net", small_recipe(), NUM_CLASSES)
    alone, unlimited = inpainter_of(generator)(photo, hole), Inpainter(generator, LABELS, working_side=512)(photo, hole)
    np.testing.assert_array_equal(alone.image, unlimited.image)
    np.testing.assert_array_equal(alone.confidence, unlimited.confidence)
    recorder = Recorder()
    inpainter_of(recorder)(photo, hole)
    assert recorder.sizes == [(48, 48)]


@pytest.mark.parametrize("hole_size", [(10, 12), (40, 30), (90, 150), (3, 300), (180, 330)])
def test_a_smooth_slope_is_continued_through_a_hole_of_any_size(hole_size):
    photo = slope(256, 384)  # 32 × 48 at an eighth: nothing is reflected, which would bend the slope
    hole = square_hole(photo.shape[:2], 40, 30, *hole_size)
    filled = inpainter_of(Planar())(photo, hole).image
    # Nothing is shifted and no crop is seen: half a pixel of the overview would be 2 levels.
    np.testing.assert_allclose(filled.astype(int), photo.astype(int), atol=1)


def test_crops_that_disagree_fade_into_one_another():
    photo = np.full((40, 400, 3), 128, np.uint8)
    hole = square_hole((40, 400), 18, 20, 4, 360)
    row = inpainter_of(Moody())(photo, hole).image[19, 20:380, 0].astype(int)
    assert np.ptp(row) > 60
    # From one crop to the next over a quarter of the working side: 0.9 · 255 levels in 8 steps at most.
    assert np.abs(np.diff(row)).max() <= 0.9 * 255 / (SIDE // 4) + 1


def test_what_lies_deep_follows_the_overview_and_what_lies_at_the_rim_does_not():
    class SaysWhichSize(Recorder):
        """Draws white on the overview alone, which is the only image of its size; black on crops."""

        def draw(self, image, hole_mask):
            overview = image.shape[2:] == (48, 48)
            return Prediction(images=(torch.full_like(image, 1.0 if overview else -1.0),))

    photo = np.full((384, 384, 3), 128, np.uint8)
    hole = square_hole((384, 384), 20, 20, 340, 340)
    filled = inpainter_of(SaysWhichSize())(photo, hole).image[..., 0]
    assert filled[190, 190] > 250
    assert filled[21, 190] < 20


def test_a_scratch_is_filled_at_full_size_however_long_it_is():
    recorder = Recorder()
    hole = square_hole((400, 400), 200, 0, 2, 400)
    inpainter_of(recorder)(np.full((400, 400, 3), 77, np.uint8), hole)
    overview, *crops = recorder.sizes
    assert overview == (32, 32)  # 400, 200, 100, 50, 25, reflected to a multiple of 16
    assert len(crops) == 400 // (SIDE // 2)


def test_the_segmentation_of_a_large_image_is_in_its_place():
    photo = slope(181, 317)
    inpainted = inpainter_of(Planar())(photo, square_hole(photo.shape[:2], 60, 100, 70, 100), details=True)
    bright = photo[..., 0] > 127.5
    wrong = inpainted.label != bright
    # Where the classes meet, an eighth of the size cannot tell.
    assert wrong.mean() < 0.03
    np.testing.assert_allclose(inpainted.confidence[:, [0, -1]], 0.9, atol=1e-3)
    assert [scale.image.shape[:2] for scale in inpainted.scales] == [(23, 40)]


def test_a_guide_of_a_large_image_shows_and_changes_the_filling():
    photo = slope(100, 130)
    hole = square_hole((100, 130), 20, 30, 60, 70)
    guide = np.full((100, 130), 255, np.uint8)
    guide[25:75, 40:90] = 2
    inpainter = real()
    free, guided = inpainter(photo, hole), inpainter(photo, hole, guide=guide)
    assert (guided.label[guide == 2] == 2).all()
    assert (guided.confidence[guide == 2] == 1).all()
    assert (free.image != guided.image)[hole].any()
    np.testing.assert_array_equal(guided.image[~hole], photo[~hole])


def test_without_a_hole_a_large_image_is_segmented_by_its_overview_alone():
    recorder = Planar()
    photo = slope(181, 317)
    inpainted = inpainter_of(recorder)(photo, np.zeros(photo.shape[:2], bool))
    np.testing.assert_array_equal(inpainted.image, photo)
    assert len(recorder.sizes) == 1
    assert inpainted.label[90, 10] == 0
    assert inpainted.label[90, 300] == 1


def test_without_a_hole_a_method_without_segmentation_has_nothing_to_do():
    recorder = Recorder()
    photo = slope(20, 30)
    inpainted = inpainter_of(recorder, method_name="gated_conv")(photo, np.zeros((20, 30), bool))
    np.testing.assert_array_equal(inpainted.in_source_format, photo)
    assert recorder.sizes == []


@pytest.mark.slow
def test_a_full_hole_of_a_large_image_says_nothing_of_what_it_held():
    size = (100, 90)
    rng = np.random.default_rng(0)
    one, other = (rng.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(2))
    with pytest.warns(UserWarning, match="100% of the image"):
        filled = [real()(photo, np.ones(size, bool)) for photo in (one, other)]
    np.testing.assert_array_equal(filled[0].image, filled[1].image)
    np.testing.assert_array_equal(filled[0].label, filled[1].label)


@pytest.mark.parametrize("method", ["sge_net", "base_net", "gated_conv", "edge_connect", "spg_net"])
def test_every_method_fills_large_images_and_many_as_each_alone(method):
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((70, 50), (20, 33), (70, 50))]
    holes = [square_hole(photo.shape[:2], 4, 5, 13, 25) for photo in photos]
    inpainter = real(method)
    for photo, hole, inpainted in zip(photos, holes, inpainter.fill_many(photos, holes), strict=True):
        alone = inpainter(photo, hole)
        np.testing.assert_array_equal(inpainted.image, alone.image)
        np.testing.assert_array_equal(inpainted.image[~hole], photo[~hole])
        if alone.confidence is not None:
            np.testing.assert_array_equal(inpainted.confidence, alone.confidence)
    with pytest.raises(DataError, match="3 images came with 2 hole masks"):
        inpainter.fill_many(photos, holes[:2])


FILL_4K = """
import resource, sys, warnings
import numpy as np
from sgenet.inpainter import Inpainter
from sgenet.label_space import OUTDOOR_SCENES
from sgenet.methods.build import build_generator
from sgenet.methods.recipe import Recipe
from sgenet.settings import NetworkSettings

warnings.simplefilter("ignore")
network, hole_side = sys.argv[1], int(sys.argv[2])
tiny = NetworkSettings(widths=(4, 4, 4, 4, 4), context_blocks=1, modulation_width=4)
recipe = Recipe(network=tiny if network == "tiny" else NetworkSettings())
photo = np.random.default_rng(0).integers(0, 256, (2160, 3840, 3), dtype=np.uint8)
hole = np.zeros(photo.shape[:2], bool)
hole[:hole_side, :hole_side] = True
inpainted = Inpainter(build_generator("sge_net", recipe, 8), OUTDOOR_SCENES)(photo, hole)
assert (inpainted.image[~hole] == photo[~hole]).all() and inpainted.label.shape == hole.shape
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("network", "hole_side"), [("tiny", 4000), ("published", 200)])
def test_4k_is_filled_within_4_gb_of_memory(network, hole_side):
    """All of it missing, where the image's own arrays weigh most; and the published widths, where a pass does."""
    finished = subprocess.run(
        [sys.executable, "-c", FILL_4K, network, str(hole_side)],
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert int(finished.stdout) < 4e9
