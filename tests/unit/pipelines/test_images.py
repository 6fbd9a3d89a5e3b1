"""What the command, the page and the servers read and write: depth, alpha, profile, EXIF data and resolution."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from inpainting_files import saved
from PIL import Image, ImageCms, PngImagePlugin

from pipelines.inference.images import decode_photo, encode_filled, encode_photo
from sgenet.errors import DataError
from sgenet.inpainter import Inpainted
from sgenet.inpainter.images import open_image

SIZE = (7, 9)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION, MAKE = 0x0112, 0x010F


def noise(bands: int, dtype=np.uint16) -> np.ndarray:
    values = np.random.default_rng(bands).integers(0, np.iinfo(dtype).max, (*SIZE, bands), dtype, endpoint=True)
    return values[..., 0] if bands == 1 else values


def deep_png(pixels: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of 16 bits, which Pillow does not write."""
    bands = 1 if pixels.ndim == 2 else pixels.shape[2]
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1).astype(">u2").view(np.uint8)
    buffer = io.BytesIO()
    buffer.write(b"\x89PNG\r\n\x1a\n")
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[bands], 0, 0, 0)
    content = zlib.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes())
    for kind, data in ((b"IHDR", header), *chunks, (b"IDAT", content), (b"IEND", b"")):
        PngImagePlugin.putchunk(buffer, kind, data)
    return buffer.getvalue()


def deep_tiff(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".tiff", pixels[..., [2, 1, 0, 3][: pixels.shape[2]]])[1].tobytes()


def filled(photo, hole) -> bytes:
    """What comes out where every pixel of the hole becomes 0."""
    source = open_image(photo.pixels)
    colours = np.where(hole[..., None], 0, source.rgb)
    return encode_filled(photo, Inpainted(colours.astype(np.uint8), hole, filled=colours, source=source))


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_a_png_of_16_bits_comes_back_with_16_bits_and_every_known_value(bands):
    values, hole = noise(bands), np.zeros(SIZE, bool)
    hole[2:5, 3:6] = True
    photo = decode_photo(deep_png(values), "the photo")
    np.testing.assert_array_equal(photo.pixels, values)
    content = filled(photo, hole)
    assert content[24] == 16
    back = decode_photo(content, "the result").pixels
    back = back[..., [0, 3]] if bands == 2 else back
    np.testing.assert_array_equal(back[~hole], values[~hole])
    colours = back if bands == 1 else back[..., :1] if bands == 2 else back[..., :3]
    assert not colours[hole].any()


@pytest.mark.parametrize("bands", [3, 4])
def test_a_tiff_of_16_bits_keeps_them(bands):
    values = noise(bands)
    photo = decode_photo(deep_tiff(values), "the photo")
    np.testing.assert_array_equal(photo.pixels, values)
    assert encode_photo(photo)[24] == 16


@pytest.mark.parametrize("kind", ["PNG 8", "PNG 16", "JPEG", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 6, 7])
def test_profile_resolution_and_exif_data_are_kept_and_the_orientation_is_applied(kind, orientation):
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = orientation, "A camera"
    described = {"icc_profile": PROFILE, "dpi": (300, 240)}
    eight = noise(3, np.uint8)
    match kind:
        case "PNG 16":
            profile = (b"iCCP", b"sRGB\0\0" + zlib.compress(PROFILE))
            resolution = (b"pHYs", struct.pack(">IIB", 11811, 9449, 1))
            content = deep_png(noise(3), profile, resolution, (b"eXIf", exif.tobytes()[6:]))
        case "TIFF":
            directory = {ORIENTATION: orientation, MAKE: "A camera"}
            content = saved(eight, "TIFF", tiffinfo=directory, **described)
        case _:
            content = saved(eight, kind.split()[0], exif=exif, **described)
    photo = decode_photo(content, "the photo")
    assert photo.size == (SIZE if orientation == 1 else SIZE[::-1])
    if kind == "PNG 16" and orientation == 6:
        np.testing.assert_array_equal(photo.pixels, np.rot90(noise(3), -1))
    written = Image.open(io.BytesIO(encode_photo(photo)))
    assert written.size == photo.size[::-1]
    assert written.info["icc_profile"] == PROFILE
    np.testing.assert_allclose(written.info["dpi"], (300, 240), atol=0.1)
    assert ORIENTATION not in written.getexif()
    assert written.getexif()[MAKE] == "A camera"


def test_what_16_bits_would_be_lost_of_is_refused():
    # One plane a colour, which OpenCV mixes up; and CMYK.
    for bands, how in ((3, {"photometric": "rgb", "planarconfig": "separate"}), (4, {"photometric": "separated"})):
        buffer, values = io.BytesIO(), noise(bands)
        tifffile.imwrite(buffer, values.transpose(2, 0, 1) if bands == 3 else values, **how)
        with pytest.raises(DataError, match="the photo has more than 8 bits a channel in a form that would be lost"):
            decode_photo(buffer.getvalue(), "the photo")
    avif = saved(noise(3, np.uint8), "AVIF")
    assert decode_photo(avif, "the photo").pixels.shape == (*SIZE, 3)
    deep = cv2.imencode(".avif", noise(3) >> 6, [cv2.IMWRITE_AVIF_DEPTH, 10])[1].tobytes()
    with pytest.raises(DataError, match="more than 8 bits"):
        decode_photo(deep, "the photo")


def test_heic_is_refused_by_its_name():
    with pytest.raises(DataError, match="the photo is a HEIC image, which is not read here; save it as JPEG or PNG"):
        decode_photo(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "the photo")


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_image_of_an_animation_is_taken_and_it_is_said(kind):
    frames = [Image.new("RGB", SIZE, colour) for colour in ("red", "blue")]
    photo = decode_photo(saved(frames[0], kind, save_all=True, append_images=frames[1:]), "the photo")
    (warning,) = photo.warnings
    assert warning.endswith("of which only the first image is filled")
    assert photo.rgb[0, 0, 0] > 200
    assert not decode_photo(saved(frames[0], kind), "the photo").warnings


def test_the_profile_of_cmyk_is_not_kept_for_rgb():
    image = Image.fromarray(noise(3, np.uint8)).convert("CMYK")
    photo = decode_photo(saved(image, "TIFF", icc_profile=PROFILE), "the photo")
    assert (photo.icc_profile, photo.pixels.shape) == (b"", (*SIZE, 3))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_that_cmyk_becomes_rgb_is_said(kind):
    image = Image.fromarray(noise(3, np.uint8))
    assert decode_photo(saved(image.convert("CMYK"), kind), "the photo").warnings == (
        "the photo is CMYK and becomes RGB, by which its colours may change",
    )
    assert not decode_photo(saved(image, kind), "the photo").warnings
