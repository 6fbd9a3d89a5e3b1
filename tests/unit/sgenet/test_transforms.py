"""One geometry for image and label; plain crops are exact; everything follows from the stream."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from PIL import Image

from sgenet.errors import DataError
from sgenet.settings import AugmentationSettings
from sgenet.transforms import (
    CentreCrop,
    Geometry,
    TrainingTransform,
    apply_geometry,
    colour_jitter,
    draw_geometry,
    resize_pixels,
)


def stream(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed))


def coordinates(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image whose red and green say row and column, and a label that says both."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return np.dstack([rows, columns, np.zeros_like(rows)]), (rows // 8 * 16 + columns // 8).astype(np.uint8)


def test_a_plain_crop_copies_pixels_exactly() -> None:
    image, label = coordinates(40, 60)
    cut_image, cut_label = apply_geometry(image, label, Geometry(top=3, left=7, side=16), crop=16)
    np.testing.assert_array_equal(cut_image, image[3:19, 7:23])
    np.testing.assert_array_equal(cut_label, label[3:19, 7:23])


def test_a_flip_mirrors_left_and_right_only() -> None:
    image, label = coordinates(16, 16)
    cut_image, cut_label = apply_geometry(image, label, Geometry(0, 0, 16, flip=True), crop=16)
    np.testing.assert_array_equal(cut_image, image[:, ::-1])
    np.testing.assert_array_equal(cut_label, label[:, ::-1])


@pytest.mark.parametrize("min_scale", [1.0, 0.4])
def test_image_and_label_stay_aligned(min_scale: float) -> None:
    image, label = coordinates(96, 120)
    settings = AugmentationSettings(flip=True, min_scale=min_scale)
    flips = set()
    for seed in range(30):
        geometry = draw_geometry(stream(seed), 96, 120, 32, settings)
        flips.add(geometry.flip)
        cut_image, cut_label = apply_geometry(image, label, geometry, 32)
        rows, columns = cut_image[..., 0].astype(int), cut_image[..., 1].astype(int)
        # Interpolated coordinates may be off by a pixel or two, where a cell of 8 begins and at the square's border.
        agree = np.abs(rows // 8 - cut_label // 16) + np.abs(columns // 8 - cut_label % 16)
        assert (agree == 0).mean() > (0.999 if geometry.side == 32 else 0.75)
        assert agree.max() <= 2
    assert flips == {False, True}


def test_labels_are_never_interpolated() -> None:
    label = np.where(np.arange(60)[:, None] + np.arange(60) < 60, 3, 255).astype(np.uint8)
    _, cut_label = apply_geometry(np.dstack([label] * 3), label, Geometry(5, 2, 50), 32)
    assert set(np.unique(cut_label)) == {3, 255}


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    """A fine checkerboard becomes grey; without antialiasing it would alias to black and white."""
    board = ((np.indices((128, 128)).sum(axis=0) % 2) * 255).astype(np.uint8)
    image, _ = apply_geometry(np.dstack([board] * 3), board, Geometry(0, 0, 128), crop=32)
    assert np.abs(image.astype(int) - 127).max() <= 2


def test_crops_lie_inside_and_reach_every_corner() -> None:
    settings = AugmentationSettings(min_scale=1.0)
    drawn = [draw_geometry(stream(seed), 36, 40, 32, settings) for seed in range(400)]
    assert {geometry.side for geometry in drawn} == {32}
    assert {geometry.top for geometry in drawn} == set(range(5))
    assert {geometry.left for geometry in drawn} == set(range(9))


def test_scaled_crops_go_from_the_share_to_the_largest_square() -> None:
    settings = AugmentationSettings(min_scale=0.5)
    drawn = [draw_geometry(stream(seed), 80, 100, 32, settings) for seed in range(1000)]
    assert min(geometry.side for geometry in drawn) == 40
    assert max(geometry.side for geometry in drawn) == 80
    assert all(geometry.top + geometry.side <= 80 and geometry.left + geometry.side <= 100 for geometry in drawn)


def test_a_scaled_crop_is_never_smaller_than_the_crop() -> None:
    settings = AugmentationSettings(min_scale=0.1)
    assert min(draw_geometry(stream(seed), 40, 40, 32, settings).side for seed in range(300)) == 32


def test_an_image_as_large_as_the_crop_is_taken_whole() -> None:
    drawn = {draw_geometry(stream(seed), 32, 32, 32, AugmentationSettings(flip=False)) for seed in range(50)}
    assert drawn == {Geometry(0, 0, 32)}


@pytest.mark.parametrize("transform", [TrainingTransform(32, AugmentationSettings()), CentreCrop(32)])
def test_an_image_smaller_than_the_crop_is_refused(transform: TrainingTransform | CentreCrop) -> None:
    image, label = coordinates(31, 40)
    with pytest.raises(DataError, match="an image of 40×31 px is smaller than the crop of 32"):
        transform(image, label, stream())


def test_the_centre_crop_is_the_middle() -> None:
    image, label = coordinates(40, 61)
    cut_image, cut_label = CentreCrop(32)(image, label)
    np.testing.assert_array_equal(cut_image, image[4:36, 14:46])
    np.testing.assert_array_equal(cut_label, label[4:36, 14:46])


def test_colour_jitter_of_0_changes_nothing() -> None:
    image, _ = coordinates(8, 8)
    assert colour_jitter(image, stream(), 0.0) is image


def test_colour_jitter_equals_brightness_then_contrast_then_saturation() -> None:
    image = stream(9).integers(60, 190, (12, 10, 3)).astype(np.uint8)
    brightness, contrast, saturation = stream(4).uniform(0.9, 1.1, 3)
    luma_weights = np.array([0.299, 0.587, 0.114])
    bright = image * brightness
    mean = (bright @ luma_weights).mean()
    contrasted = mean + contrast * (bright - mean)
    luma = (contrasted @ luma_weights)[..., None]
    expected = np.clip(np.rint(luma + saturation * (contrasted - luma)), 0, 255)
    difference = np.abs(colour_jitter(image, stream(4), 0.1).astype(int) - expected)
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.99


def test_colour_jitter_clips_instead_of_wrapping() -> None:
    white = np.full((4, 4, 3), 250, np.uint8)
    brightest = max((colour_jitter(white, stream(seed), 0.5) for seed in range(20)), key=lambda image: int(image.sum()))
    assert brightest.min() == 255


def test_a_pickled_transform_gives_the_same_sample() -> None:
    image, label = coordinates(64, 80)
    transform = TrainingTransform(32, AugmentationSettings(min_scale=0.6, colour_jitter=0.2))
    first = transform(image, label, stream(11))
    second = pickle.loads(pickle.dumps(transform))(image, label, stream(11))
    assert all(map(np.array_equal, first, second))
    assert not np.array_equal(first[0], transform(image, label, stream(12))[0])


def test_the_stored_image_is_left_alone() -> None:
    image, label = coordinates(40, 40)
    before = image.copy(), label.copy()
    TrainingTransform(32, AugmentationSettings(colour_jitter=0.3))(image, label, stream(1))
    assert np.array_equal(image, before[0])
    assert np.array_equal(label, before[1])


@pytest.mark.parametrize("size", [(64, 48), (37, 101), (150, 200)])
def test_an_image_is_resized_as_pillow_does_to_two_levels(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (128, 170, 3), np.uint8)
    before = image.copy()
    resized = resize_pixels(image, *size)
    expected = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))
    assert resized.shape == (*size, 3)
    assert resized.dtype == np.uint8
    assert abs(resized.astype(int) - expected).max() <= 2
    assert (image == before).all()


def test_an_image_of_the_size_is_itself_and_one_that_may_not_be_written_to_is_taken() -> None:
    image = np.zeros((8, 9, 3), np.uint8)
    assert resize_pixels(image, 8, 9) is image
    image.flags.writeable = False
    assert resize_pixels(image[:, ::2], 4, 5).shape == (4, 5, 3)
