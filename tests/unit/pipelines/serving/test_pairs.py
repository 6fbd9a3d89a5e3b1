"""Image files from strangers become pixels within the limits, or one sentence."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from inpainting_files import png_chunk, png_claiming, saved
from PIL import Image
from sent import mask, random_image, row

from pipelines.inference.server import pairs
from pipelines.inference.server.limits import ServingLimits
from pipelines.inference.server.pairs import decode_row, decode_rows
from pipelines.inference.server.refusal import Refusal
from pipelines.inference.server.rows import RequestRow

LIMITS = ServingLimits(pixels=128 * 128, side=200)


def test_a_good_row_comes_out_as_it_was_sent():
    pair = decode_row(RequestRow(saved(random_image()), saved(mask())), LIMITS)
    np.testing.assert_array_equal(pair.photo.pixels, random_image())
    np.testing.assert_array_equal(pair.hole, mask() > 0)


def test_what_becomes_of_cmyk_is_said():
    pair = decode_row(RequestRow(saved(Image.new("CMYK", (28, 20)), "JPEG"), saved(mask())), LIMITS)
    assert pair.warnings == ("the image is CMYK and becomes RGB, by which its colours may change",)


def test_a_photo_taken_sideways_goes_with_a_mask_of_its_upright_size():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise to see it upright
    turned = saved(random_image(20, 28), "JPEG", exif=exif)
    pair = decode_row(RequestRow(turned, saved(mask(28, 20))), LIMITS)
    assert pair.photo.pixels.shape == (28, 20, 3)


def test_what_an_image_costs_is_what_the_network_sees_of_it():
    strip = decode_row(RequestRow(saved(random_image(1, 33)), saved(np.zeros((1, 33), np.uint8))), LIMITS)
    assert strip.cost == 32 * 64


@pytest.mark.parametrize(
    ("content", "status", "sentence"),
    [
        (png_claiming(60000, 60000), 413, "too many pixels; send at most 0.0164 million in a request, or set pixels"),
        (png_claiming(129, 128), 413, "too many pixels"),
        (png_claiming(201, 1), 413, "201×1 pixels; send sides of at most 200"),
        (png_claiming(20, 28), 400, "is damaged"),
        (png_claiming(20, 28, png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(8 << 20)))), 400, "is damaged"),
        (png_claiming(0, 0), 400, "not in a known image format"),
        (b"", 400, "not in a known image format"),
        (b"hello", 400, "not in a known image format"),
        (saved(random_image())[:-40], 400, "is damaged"),
        (saved(random_image(), "JPEG")[:-200], 400, "is damaged"),
    ],
)
@pytest.mark.parametrize("column", ["image", "hole_mask"])
def test_a_hostile_file_is_refused_wherever_it_stands(content, status, sentence, column):
    files = {"image": saved(random_image()), "hole_mask": saved(mask())} | {column: content}
    with pytest.raises(Refusal, match=sentence) as caught:
        decode_row(RequestRow(**files), LIMITS)
    assert caught.value.status == status
    assert column.replace("_", " ") in str(caught.value)


def test_a_mask_of_another_size_is_refused_with_both_sizes():
    with pytest.raises(Refusal, match="the image is 28×20 pixels but its hole mask is 27×20"):
        decode_row(RequestRow(saved(random_image()), saved(mask(20, 27))), LIMITS)


def test_the_images_of_a_request_share_its_pixels():
    large = row(random_image(90, 90), mask(90, 90))
    assert len(decode_rows([large], LIMITS)) == 1
    with pytest.raises(Refusal, match=r"row 1: the image \(90×90\) has too many pixels") as caught:
        decode_rows([large, large], LIMITS)
    assert caught.value.status == 413


def test_a_row_that_is_none_is_named_by_its_number():
    with pytest.raises(Refusal, match="row 1: expected an object"):
        decode_rows([row(), 7], LIMITS)
    with pytest.raises(Refusal, match="row 8: 'image' is not base64"):
        decode_rows([row(), {**row(), "image": "?"}], LIMITS, first=7)


@pytest.mark.parametrize("broken", ["decode_photo", "decode_image", "read_hole"])
@pytest.mark.parametrize("error", [IndexError("x"), struct.error("x"), MemoryError(), AssertionError()])
def test_whatever_a_decoder_raises_says_that_the_file_is_bad(monkeypatch, broken, error):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(pairs, broken, fail)
    with pytest.raises(Refusal, match=f"{type(error).__name__}") as caught:
        decode_row(RequestRow(saved(random_image()), saved(mask())), LIMITS)
    assert caught.value.status == 400
