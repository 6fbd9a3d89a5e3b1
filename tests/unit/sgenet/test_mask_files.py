"""Mask images: polarity, depth, size, and the real masks of Liu et al. 2018."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sgenet.errors import DataError
from sgenet.mask_files import MaskFolder, hole_ratio, load_mask_file, resize_mask

REAL_MASKS = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "irregular_masks"
needs_real_masks = pytest.mark.skipif(
    not REAL_MASKS.is_dir(), reason=f"the masks of Liu et al. are not in {REAL_MASKS}"
)

LEFT_HALF = np.repeat(np.array([[1, 1, 0, 0]], np.uint8), 4, axis=0)


def save(image: Image.Image, path: Path) -> Path:
    image.save(path)
    return path


def test_white_or_black_is_missing_as_declared(tmp_path: Path) -> None:
    path = save(Image.fromarray(LEFT_HALF * 255), tmp_path / "mask.png")
    np.testing.assert_array_equal(load_mask_file(path, white_is_hole=True), LEFT_HALF)
    np.testing.assert_array_equal(load_mask_file(path, white_is_hole=False), 1 - LEFT_HALF)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK"])
def test_every_mode_reads_the_same(tmp_path: Path, mode: str) -> None:
    name = "mask.tiff" if mode == "CMYK" else "mask.png"
    path = save(Image.fromarray(LEFT_HALF * 255).convert("RGB").convert(mode), tmp_path / name)
    np.testing.assert_array_equal(load_mask_file(path, white_is_hole=True), LEFT_HALF)


def test_16_bit_greys_are_scaled_not_clipped(tmp_path: Path) -> None:
    # 300 of 65535 is almost black; clipped to 8 bits it would be white.
    values = np.where(LEFT_HALF == 1, 65535, 300).astype(np.uint16)
    path = save(Image.fromarray(values), tmp_path / "mask.png")
    np.testing.assert_array_equal(load_mask_file(path, white_is_hole=True), LEFT_HALF)


@pytest.mark.parametrize("brightest", [1, 255, 32895])
def test_16_bit_greys_without_white_are_refused(tmp_path: Path, brightest: int) -> None:
    path = save(Image.fromarray(LEFT_HALF.astype(np.uint16) * brightest), tmp_path / "mask.png")
    with pytest.raises(DataError, match=f"no white pixels, its brightest value is {brightest} of 65535"):
        load_mask_file(path, white_is_hole=True)


def test_exif_data_that_are_cut_off_are_refused(tmp_path: Path) -> None:
    Image.fromarray(LEFT_HALF * 255).save(tmp_path / "mask.png", exif=b"II*\0\x08")
    with pytest.raises(DataError, match="cannot be read as a mask image"):
        load_mask_file(tmp_path / "mask.png", white_is_hole=True)


def test_an_upright_photograph_has_an_upright_mask(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by 90° clockwise
    Image.fromarray(LEFT_HALF[:2] * 255).save(tmp_path / "mask.png", exif=exif)
    expected = np.repeat(np.array([[1], [1], [0], [0]], np.uint8), 2, axis=1)
    np.testing.assert_array_equal(load_mask_file(tmp_path / "mask.png", white_is_hole=True), expected)


def test_jpeg_ringing_is_tolerated(tmp_path: Path) -> None:
    mask = np.zeros((128, 128), np.uint8)
    mask[32:96, 32:96] = 1
    Image.fromarray(mask * 255).save(tmp_path / "mask.jpg", quality=90)
    np.testing.assert_array_equal(load_mask_file(tmp_path / "mask.jpg", white_is_hole=True), mask)


def test_a_photograph_is_not_a_mask(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (8, 1))
    path = save(Image.fromarray(ramp), tmp_path / "photo.png")
    with pytest.raises(DataError, match=r"photo\.png is not black and white, 49\.2% of its pixels are grey"):
        load_mask_file(path, white_is_hole=True)


def test_zeros_and_ones_saved_as_such_are_not_taken_for_an_empty_hole(tmp_path: Path) -> None:
    path = save(Image.fromarray(LEFT_HALF), tmp_path / "mask.png")
    with pytest.raises(DataError, match="its brightest value is 1; save the mask with values 0 and 255"):
        load_mask_file(path, white_is_hole=True)


def test_a_mask_in_the_alpha_channel_is_refused(tmp_path: Path) -> None:
    rgba = np.dstack([np.zeros((4, 4, 3), np.uint8), LEFT_HALF * 255])
    path = save(Image.fromarray(rgba), tmp_path / "mask.png")
    with pytest.raises(DataError, match="transparent"):
        load_mask_file(path, white_is_hole=True)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mask.png").write_bytes(content)
    with pytest.raises(DataError, match=r"mask\.png cannot be read as a mask image"):
        load_mask_file(tmp_path / "mask.png", white_is_hole=True)


def test_resizing_keeps_two_values_and_repeats_pixels() -> None:
    expected = np.repeat(np.repeat(LEFT_HALF, 3, axis=0), 2, axis=1)
    np.testing.assert_array_equal(resize_mask(LEFT_HALF, 12, 8), expected)


def test_a_folder_is_listed_in_sorted_order_with_its_subfolders(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("c.PNG", "b/a.png", "a.png"):
        Image.fromarray(LEFT_HALF * 255).save(tmp_path / name)
    (tmp_path / "README.txt").write_text("not a mask")
    assert MaskFolder.open(tmp_path, white_is_hole=True).names == ("a.png", "b/a.png", "c.PNG")


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images"):
        MaskFolder.open(tmp_path, white_is_hole=True)


def test_mostly_missing_masks_mean_the_polarity_is_inverted(tmp_path: Path) -> None:
    for side in (2, 3, 4, 5, 6):
        small_hole = np.zeros((10, 10), np.uint8)
        small_hole[:side, :side] = 255
        Image.fromarray(small_hole).save(tmp_path / f"{side}.png")
    assert len(MaskFolder.open(tmp_path, white_is_hole=True)) == 5
    with pytest.raises(DataError, match=r"look inverted.*more than 84%.*set white_is_hole: true"):
        MaskFolder.open(tmp_path, white_is_hole=False)


@needs_real_masks
def test_real_masks_are_in_the_bins_their_numbers_say() -> None:
    masks = MaskFolder.open(REAL_MASKS, white_is_hole=True)
    assert len(masks) == 1200
    bounds = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    for index in range(0, 1200, 10):
        position = int(Path(masks.names[index]).stem) // 2000
        assert bounds[position] <= hole_ratio(masks.read(index, 512, 512)) <= bounds[position + 1]
