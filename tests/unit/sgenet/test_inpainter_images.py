"""Every kind of image comes back as its own kind, with every known pixel and all alpha bit for bit."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sgenet.batch import Prediction
from sgenet.errors import DataError
from sgenet.inpainter import Inpainter
from sgenet.label_space import LabelSpace

SIZE = (23, 31)
HOLE = np.zeros(SIZE, bool)
HOLE[5:14, 8:21] = True


class Painter(nn.Module):
    """Draws one colour everywhere, and remembers what it was given."""

    def __init__(self, colour: tuple[float, float, float] = (0.5, -0.25, -1.0)) -> None:
        super().__init__()
        self.colour = torch.tensor(colour).view(1, 3, 1, 1)
        self.image = self.hole_mask = torch.empty(0)

    def forward(self, image, hole_mask):
        self.image, self.hole_mask = image, hole_mask
        return Prediction(images=(self.colour.expand_as(image).contiguous(),))


def inpaint(image, hole=HOLE, painter=None):
    return Inpainter(painter or Painter(), LabelSpace(("thing",)))(image, hole)


def noise(*shape: int, dtype=np.uint8, seed: int = 0):
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def image_of_mode(mode: str) -> Image.Image:
    match mode:
        case "1":
            return Image.fromarray(noise(*SIZE)).convert("1")
        case "I;16" | "I;16B":
            return Image.frombytes(mode, SIZE[::-1], noise(*SIZE, dtype=np.uint16).tobytes())
        case "I":
            return Image.fromarray(noise(*SIZE, dtype=np.uint16).astype(np.int32))
        case _:
            bands = len(Image.new(mode, (1, 1)).getbands())
            return Image.frombytes(mode, SIZE[::-1], noise(*SIZE, bands).tobytes())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I;16B", "I"])
def test_an_image_comes_back_in_its_mode_with_known_pixels_and_alpha_as_they_were(mode):
    given = image_of_mode(mode)
    filled = inpaint(given).in_source_format
    assert (filled.mode, filled.size) == (mode, given.size)
    before, after = np.asarray(given), np.asarray(filled)
    np.testing.assert_array_equal(after[~HOLE], before[~HOLE])
    if mode in ("LA", "RGBA"):
        np.testing.assert_array_equal(after[..., -1], before[..., -1])
    # 0.5, -0.25 and -1 of ±1: grey is their luminance, 0.299 · 0.75 + 0.587 · 0.375.
    grey, colour = 0.444375, (191, 96, 0)
    match mode:
        case "1":
            assert not after[HOLE].any()
        case "L":
            assert (after[HOLE] == round(255 * grey)).all()
        case "LA":
            assert (after[HOLE][:, 0] == round(255 * grey)).all()
        case "I;16" | "I;16B" | "I":
            np.testing.assert_allclose(after[HOLE].astype(float), 65535 * grey, atol=1)
        case _:
            np.testing.assert_allclose(np.asarray(filled.convert("RGB"))[HOLE], [colour] * HOLE.sum(), atol=2)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("bands", [(), (3,), (4,)])
def test_an_array_comes_back_as_its_shape_and_type_with_known_values_and_alpha_as_they_were(dtype, bands):
    given = noise(*SIZE, *bands, dtype=dtype)
    before = given.copy()
    inpainted = inpaint(given)
    filled = inpainted.in_source_format
    assert (filled.dtype, filled.shape) == (given.dtype, given.shape)
    np.testing.assert_array_equal(filled[~HOLE], before[~HOLE])
    np.testing.assert_array_equal(given, before)
    if bands == (4,):
        np.testing.assert_array_equal(filled[..., 3], before[..., 3])
    if bands:
        largest = np.iinfo(dtype).max
        np.testing.assert_allclose(filled[HOLE][0, :3].astype(float), np.array((0.75, 0.375, 0)) * largest, atol=0.6)
    assert inpainted.image.dtype == np.uint8
    if bands == (3,) and dtype == np.uint8:
        np.testing.assert_array_equal(inpainted.image, filled)


def test_sixteen_bits_reach_the_network_and_the_eight_bit_result_is_rounded_to_nearest():
    painter, given = Painter(), noise(*SIZE, 3, dtype=np.uint16)
    inpainted = inpaint(given, painter=painter)
    seen = painter.image[0, :, : SIZE[0], : SIZE[1]].permute(1, 2, 0).double().numpy()
    np.testing.assert_allclose((seen + 1) * 32767.5, given, atol=0.01)
    np.testing.assert_array_equal(inpainted.image[~HOLE], np.rint(given / 257.0)[~HOLE])


@pytest.mark.parametrize("kind", ["LA", "RGBA", "palette", "colour key", "array"])
def test_the_network_does_not_see_what_is_transparent_and_it_comes_back_as_it_was(kind):
    alpha = np.full(SIZE, 255, np.uint8)
    alpha[:4], alpha[10:12, 8:10], alpha[20] = 0, 0, 1
    match kind:
        case "palette":
            given = Image.fromarray(np.where(alpha == 0, 7, noise(*SIZE) % 7).astype(np.uint8)).convert("P")
            given.info["transparency"] = 7
            alpha[20] = 255
        case "colour key":
            given = Image.fromarray(np.where(alpha[..., None] == 0, (9, 9, 9), noise(*SIZE, 3) | 16).astype(np.uint8))
            given.info["transparency"] = (9, 9, 9)
            alpha[20] = 255
        case _:
            bands = 1 if kind == "LA" else 3
            pixels = np.concatenate((noise(*SIZE, bands), alpha[..., None]), axis=-1)
            given = pixels if kind == "array" else Image.frombytes(kind, SIZE[::-1], pixels.tobytes())
    painter = Painter()
    filled = inpaint(given, painter=painter).in_source_format
    seen = painter.hole_mask[0, 0, : SIZE[0], : SIZE[1]].numpy() == 1
    np.testing.assert_array_equal(seen, HOLE | (alpha == 0))
    before = given if kind == "array" else np.asarray(given.convert("LA" if kind == "LA" else "RGBA"))
    after = np.asarray(filled)
    np.testing.assert_array_equal(after[~HOLE], before[~HOLE])
    # A filled pixel that was transparent has its colour now, and is transparent still.
    np.testing.assert_array_equal(after[..., -1], alpha)
    assert (after[HOLE][:, 0] == after[HOLE][0, 0]).all()


def test_an_opaque_palette_image_comes_back_as_rgb_with_its_colours():
    given = Image.fromarray(noise(*SIZE, 3)).quantize(16)
    filled = inpaint(given).in_source_format
    assert filled.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(filled)[~HOLE], np.asarray(given.convert("RGB"))[~HOLE])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_filled_upright_and_the_result_does_not_turn_again(orientation):
    upright = Image.fromarray(noise(*SIZE, 3))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright.copy()
    stored.getexif()[0x0112] = orientation
    stored.info["icc_profile"] = b"a profile"
    filled = inpaint(stored).in_source_format
    np.testing.assert_array_equal(np.asarray(filled)[~HOLE], np.asarray(upright)[~HOLE])
    assert filled.getexif().get(0x0112, 1) == 1
    assert filled.info["icc_profile"] == b"a profile"


def test_a_file_of_16_bit_colours_that_pillow_opened_is_warned_about():
    content = cv2.imencode(".png", noise(*SIZE, 3, dtype=np.uint16))[1].tobytes()
    with pytest.warns(UserWarning, match="8 of its 16 bits"):
        inpaint(Image.open(io.BytesIO(content)))


def test_a_file_that_is_cut_off_is_refused_in_a_sentence():
    buffer = io.BytesIO()
    Image.fromarray(noise(64, 64, 3)).save(buffer, "PNG")
    cut = Image.open(io.BytesIO(buffer.getvalue()[:4000]))
    with pytest.raises(DataError, match="the image cannot be decoded"):
        inpaint(cut, np.zeros((64, 64), bool))
    cut = Image.open(io.BytesIO(buffer.getvalue()[:4000]))
    with pytest.raises(DataError, match="the hole mask cannot be decoded"):
        inpaint(noise(64, 64, 3), cut)


def test_exif_data_that_are_cut_off_are_refused_in_a_sentence():
    buffer = io.BytesIO()
    Image.fromarray(noise(*SIZE, 3)).save(buffer, "PNG", exif=b"II*\0\x08")
    with pytest.raises(DataError, match="the image cannot be decoded"):
        inpaint(Image.open(buffer))


@pytest.mark.parametrize("mode", ["I;16", "I"])
def test_a_16_bit_mask_is_cut_at_half_its_range(mode):
    deep = np.where(HOLE, 33000, 32000).astype(np.uint16 if mode == "I;16" else np.int32)
    np.testing.assert_array_equal(inpaint(noise(*SIZE, 3), Image.fromarray(deep)).hole, HOLE)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32])
def test_a_deep_mask_of_0_and_1_is_taken_and_one_of_0_and_255_is_refused(dtype):
    image = noise(*SIZE, 3)
    np.testing.assert_array_equal(inpaint(image, Image.fromarray(HOLE.astype(dtype))).hole, HOLE)
    with pytest.raises(DataError, match="no white pixels, its brightest value is 255 of 65535"):
        inpaint(image, Image.fromarray(HOLE.astype(dtype) * 255))
