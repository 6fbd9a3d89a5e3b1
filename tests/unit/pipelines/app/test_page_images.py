"""Uploads within limits, and what the coloured images say."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from inpainting_files import png_claiming, saved
from PIL import Image

from pipelines.inference.page.examples import EXAMPLES, HEIGHT, WIDTH, example_image, example_photo, example_thumbnail
from pipelines.inference.page.images import (
    confidence_overlay,
    data_address,
    draw_outline,
    heat,
    label_overlay,
    open_upload,
)
from pipelines.inference.page.limits import PageLimits
from sgenet.errors import DataError
from sgenet.label_space import OUTDOOR_SCENES


def test_too_many_pixels_are_refused_before_they_are_decoded(upload):
    with pytest.raises(DataError, match=r"9000×9000 = 81\.0 million pixels, and at most 64\.0 million"):
        open_upload(upload(png_claiming(9000, 9000)), PageLimits())
    with pytest.raises(DataError, match="more than 89 million pixels"):
        open_upload(upload(png_claiming(60000, 60000)), PageLimits())


def test_too_many_bytes_are_refused(upload):
    with pytest.raises(DataError, match=r"2\.0 MiB, and at most 1 MiB"):
        open_upload(upload(b"x" * 2 * 2**20), PageLimits(file_bytes=2**20))


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"<svg/>", saved(np.zeros((30, 30, 3), np.uint8))[:60]])
def test_what_is_no_whole_image_is_refused(upload, content):
    with pytest.raises(DataError, match="the uploaded file is"):
        open_upload(upload(content), PageLimits())


def test_an_exact_address_holds_the_pixels():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    kind, _, content = data_address(pixels, exact=True).partition(",")
    assert kind == "data:image/webp;base64"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))), pixels)


def test_the_heat_map_darkens_with_confidence():
    brightness = heat(np.linspace(0, 1, 101, dtype=np.float32)[None])[0].astype(int).sum(axis=1)
    assert (np.diff(brightness) <= 0).all()
    assert brightness[0] > 600
    assert brightness[-1] < 100


def test_overlays_show_class_and_confidence():
    grey = np.full((1, 2, 3), 128, np.uint8)
    classes = label_overlay(grey, np.array([[1, 3]], np.uint8), OUTDOOR_SCENES)
    assert classes[0, 0].argmax() == 2, "sky is blue"
    assert classes[0, 1].argmax() == 1, "grass is green"
    doubt = confidence_overlay(grey, np.array([[0.1, 0.9]], np.float32))
    assert doubt[0, 0].sum() > doubt[0, 1].sum()


def test_the_outline_runs_around_the_hole_and_leaves_it_alone():
    hole = np.zeros((9, 9), bool)
    hole[3:6, 3:6] = True
    outlined = draw_outline(np.full((9, 9, 3), 100, np.uint8), hole)
    assert (outlined[hole] == 100).all()
    assert (outlined[2, 3:6] == 255).all()
    assert (outlined[1, 3:6] == 20).all()
    assert (outlined[0] == 100).all()


def test_examples_are_scenes_of_one_size_and_photographs():
    for number, example in enumerate(EXAMPLES):
        expected = (HEIGHT, WIDTH, 3) if example.seed is not None else (*example_photo(number).size, 3)
        assert example_image(number).shape == expected
        assert max(example_thumbnail(number).shape) == 160
    assert len({example_image(number).tobytes() for number in range(len(EXAMPLES))}) == len(EXAMPLES)
