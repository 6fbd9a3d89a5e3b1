from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipelines.data.shards.decode_raw import decode_image, decode_label, resize_image, resize_label
from sgenet.errors import DataError


def _encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def _pixels(content: bytes) -> np.ndarray:
    return decode_image(content).pixels


def _raw_png(width: int, height: int, bits: int, colour_type: int, rows: bytes) -> bytes:
    """A PNG made by hand, for depths that Pillow does not write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _grey(width: int, height: int, value: int = 90) -> Image.Image:
    return Image.new("RGB", (width, height), (value, value, value))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_truncated_image_is_refused_and_not_filled_with_grey(kind: str, share: float) -> None:
    rng = np.random.default_rng(0)
    content = _encoded(Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)), kind)
    with pytest.raises(DataError, match="damaged or truncated"):
        decode_image(content[: int(len(content) * share)])


def test_exif_data_that_are_cut_off_are_refused() -> None:
    with pytest.raises(DataError, match="damaged or truncated"):
        decode_image(_encoded(_grey(8, 8), exif=b"II*\0\x08"))


@pytest.mark.parametrize("size", [(30_000, 30_000), (10_100, 10_000)], ids=["a bomb", "what Pillow would take"])
def test_more_than_100_megapixels_are_refused_before_decoding(size: tuple[int, int]) -> None:
    with pytest.raises(DataError, match="100 megapixels"):
        decode_image(_raw_png(*size, 8, 0, b""))


def test_cmyk_is_not_inverted() -> None:
    # Full cyan ink, no other: red is absorbed, green and blue are not.
    red, green, blue = _pixels(_encoded(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "JPEG", quality=95))[4, 4]
    assert red < 10
    assert min(green, blue) > 245


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    ramp = np.array([[0, 257, 32768, 65535]], np.uint16)
    assert _pixels(_encoded(Image.fromarray(ramp)))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_16_bit_colour_is_scaled_not_clipped() -> None:
    row = b"\0" + struct.pack(">6H", 0, 0x80FF, 0xFFFF, 0x1000, 0x2000, 0x3000)
    assert _pixels(_raw_png(2, 1, 16, 2, row)).tolist() == [[[0, 128, 255], [16, 32, 48]]]


def test_palette_images_come_in_their_colours() -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 200, 100, 50])
    assert _pixels(_encoded(image)).tolist() == [[[10, 20, 30], [200, 100, 50]]]


def test_transparency_is_laid_over_mid_grey() -> None:
    image = Image.fromarray(np.array([[[255, 0, 0, 0], [255, 0, 0, 255]]], np.uint8))
    assert _pixels(_encoded(image)).tolist() == [[[128, 128, 128], [255, 0, 0]]]


def test_32_bit_samples_are_refused() -> None:
    with pytest.raises(DataError, match="32 bits"):
        decode_image(_encoded(Image.new("F", (8, 8)), "TIFF"))


def _corner_marked() -> Image.Image:
    """20×10, black but for a white block in the upper left."""
    image = Image.new("RGB", (20, 10))
    image.paste((255, 255, 255), (0, 0, 5, 5))
    return image


def _turned(orientation: int) -> bytes:
    return _encoded(_corner_marked(), "PNG", **_oriented(orientation))


# Where the stored upper left corner is shown, from the EXIF specification: orientation 6 has
# row 0 at the right and column 0 at the top, so it is the upper right corner.
@pytest.mark.parametrize(
    ("orientation", "size", "corner"),
    [
        (1, (20, 10), (0, 0)),
        (2, (20, 10), (0, -1)),
        (3, (20, 10), (-1, -1)),
        (4, (20, 10), (-1, 0)),
        (5, (10, 20), (0, 0)),
        (6, (10, 20), (0, -1)),
        (7, (10, 20), (-1, -1)),
        (8, (10, 20), (-1, 0)),
    ],
)
def test_exif_orientation_is_applied(orientation: int, size: tuple[int, int], corner: tuple[int, int]) -> None:
    image = decode_image(_turned(orientation))
    assert image.size == size
    corners = {(y, x): image.pixels[y, x, 0] for y in (0, -1) for x in (0, -1)}
    assert [place for place, value in corners.items() if value == 255] == [corner]


def _corner_label() -> np.ndarray:
    label = np.zeros((10, 20), np.uint8)
    label[:5, :5] = 1
    return label


def test_a_label_drawn_on_the_stored_image_is_turned_with_it() -> None:
    image = decode_image(_turned(6))
    label = decode_label(_encoded(Image.fromarray(_corner_label())), image)
    assert (label == (image.pixels[..., 0] == 255)).all()


def test_a_label_drawn_on_the_upright_image_stays() -> None:
    image = decode_image(_turned(6))
    upright = np.rot90(_corner_label(), -1)
    assert (decode_label(_encoded(Image.fromarray(np.ascontiguousarray(upright))), image) == upright).all()


def test_a_palette_label_gives_its_indices_not_its_colours() -> None:
    label = Image.fromarray(np.array([[3, 1]], np.uint8)).convert("P")
    label.putpalette([7, 7, 7] * 256)
    image = decode_image(_encoded(_grey(2, 1)))
    assert decode_label(_encoded(label), image).tolist() == [[3, 1]]


@pytest.mark.parametrize(("bits", "packed"), [(2, 0b00_01_11_10), (4, None), (1, 0b0110_0000)])
def test_grey_labels_of_few_bits_keep_their_ids(bits: int, packed: int | None) -> None:
    ids = {1: [0, 1, 1, 0], 2: [0, 1, 3, 2], 4: [0, 1, 9, 15]}[bits]
    row = bytes([packed]) if packed is not None else bytes([0x01, 0x9F])
    label = decode_label(_raw_png(4, 1, bits, 0, b"\0" + row), decode_image(_encoded(_grey(4, 1))))
    assert label.tolist() == [ids]


def test_a_16_bit_label_keeps_its_ids() -> None:
    raw = np.array([[0, 300]], np.uint16)
    assert decode_label(_encoded(Image.fromarray(raw)), decode_image(_encoded(_grey(2, 1)))).tolist() == [[0, 300]]


def test_a_jpeg_label_is_refused_because_its_ids_are_blurred() -> None:
    with pytest.raises(DataError, match="not an image in any of the formats PNG"):
        decode_label(_encoded(Image.new("L", (8, 8)), "JPEG"), decode_image(_encoded(_grey(8, 8))))


@pytest.mark.parametrize(
    ("size", "expected"), [((480, 360), (171, 128)), ((213, 320), (128, 192)), ((50, 50), (128, 128))]
)
def test_the_shorter_side_is_as_set_and_the_longer_rounded(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert resize_image(decode_image(_encoded(_grey(*size))), 128).shape[1::-1] == expected


def test_shrinking_averages_instead_of_picking() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    inside = resize_image(decode_image(_encoded(Image.fromarray(stripes))), 16)[:, 2:-2]
    assert abs(inside.astype(int) - 127).max() <= 2


def test_resizing_a_label_invents_no_class_and_keeps_it_over_the_image() -> None:
    label = np.zeros((60, 60), np.uint8)
    label[:, 30:] = 7
    assert resize_label(label, (20, 20)).tolist() == [[0] * 10 + [7] * 10] * 20


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": "4:4:4"}, {"subsampling": "4:1:1"}])
def test_a_jpeg_has_the_pixels_that_pillow_gives(options: dict[str, object]) -> None:
    rng = np.random.default_rng(1)
    smooth = Image.fromarray(rng.integers(0, 256, (9, 13, 3), np.uint8)).resize((61, 43))
    content = _encoded(smooth, "JPEG", quality=80, **options)
    with Image.open(io.BytesIO(content)) as image:
        assert (_pixels(content) == np.asarray(image)).all()


def _oriented(orientation: int) -> dict[str, object]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


@pytest.mark.parametrize(
    ("kind", "options", "size"),
    [
        ("JPEG", {}, (400, 300)),
        ("JPEG", _oriented(1), (400, 300)),
        ("JPEG", _oriented(6), (300, 400)),
        ("MPO", {}, (400, 300)),
        ("MPO", _oriented(6), (300, 400)),
    ],
)
def test_a_jpeg_decoded_scaled_is_no_smaller_than_asked_and_remembers_its_size(
    kind: str, options: dict[str, object], size: tuple[int, int]
) -> None:
    several = {"save_all": True, "append_images": [_grey(400, 300)]} if kind == "MPO" else {}
    image = decode_image(_encoded(_grey(400, 300), kind, **options, **several), 64)
    assert image.pixels.shape == (size[1] // 4, size[0] // 4, 3)
    assert image.size == size
    assert resize_image(image, 64).shape == resize_image(decode_image(_encoded(_grey(*image.size))), 64).shape


def test_a_jpeg_with_stray_bytes_is_what_pillow_makes_of_it() -> None:
    content = _encoded(_grey(32, 32), "JPEG")
    stray = content[:-2] + b"\x00\x01\x02" + content[-2:]
    assert (_pixels(stray) == _pixels(content)).all()
