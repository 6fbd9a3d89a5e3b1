"""Ranges and polarity at the doors of the networks."""

from __future__ import annotations

import pytest
import torch

from sgenet.batch import InpaintingBatch, composite, to_uint8


def _uint8_batch() -> InpaintingBatch:
    values = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    hole_mask = torch.zeros(1, 1, 16, 16, dtype=torch.uint8)
    hole_mask[..., 4:8, 4:8] = 1
    label = torch.full((1, 16, 16), 255, dtype=torch.uint8)
    return InpaintingBatch.from_uint8(values.contiguous(), hole_mask, label)


def test_bytes_map_to_exactly_minus_one_and_one_and_come_back_unchanged() -> None:
    image = _uint8_batch().image
    assert (image.min(), image.max()) == (-1.0, 1.0)
    assert torch.equal(to_uint8(image).flatten(2)[0, 0], torch.arange(256, dtype=torch.uint8))


def test_from_uint8_keeps_the_loader_s_tensors_as_they_are() -> None:
    image = torch.full((1, 3, 4, 4), 200, dtype=torch.uint8)
    InpaintingBatch.from_uint8(
        image, torch.ones(1, 1, 4, 4, dtype=torch.uint8), torch.zeros(1, 4, 4, dtype=torch.uint8)
    )
    assert bool((image == 200).all())


def test_from_uint8_gives_the_types_and_the_layout_that_the_networks_expect() -> None:
    batch = _uint8_batch()
    assert (batch.image.dtype, batch.hole_mask.dtype, batch.label.dtype) == (torch.float32, torch.float32, torch.int64)
    assert batch.image.is_contiguous(memory_format=torch.channels_last)
    assert int(batch.label.max()) == 255, "the ignore id must not wrap around"
    assert batch.num_images == 1


def test_the_corrupted_image_is_grey_exactly_where_the_mask_is_1() -> None:
    batch = _uint8_batch()
    missing = batch.hole_mask.expand_as(batch.image) == 1
    assert bool((batch.corrupted[missing] == 0).all())
    assert torch.equal(batch.corrupted[~missing], batch.image[~missing])


@pytest.mark.parametrize(
    ("mask_shape", "label_shape", "named"),
    [
        ((1, 1, 4, 5), (1, 4, 4), "hole_mask"),
        ((1, 1, 4, 4), (2, 4, 4), "label"),
        ((1, 3, 4, 4), (1, 4, 4), "hole_mask"),
    ],
)
def test_parts_of_other_sizes_are_refused_by_name(
    mask_shape: tuple[int, ...], label_shape: tuple[int, ...], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        InpaintingBatch(torch.zeros(1, 3, 4, 4), torch.zeros(mask_shape), torch.zeros(label_shape, dtype=torch.int64))


def test_the_composite_keeps_known_pixels_to_the_bit_also_where_the_prediction_is_not_finite() -> None:
    original = torch.rand(1, 3, 4, 4)
    predicted = torch.full((1, 3, 4, 4), float("nan"))
    hole_mask = torch.zeros(1, 1, 4, 4)
    hole_mask[..., :2] = 1
    predicted[..., :2] = 0.25
    inpainted = composite(predicted, original, hole_mask)
    assert torch.equal(inpainted[..., 2:], original[..., 2:])
    assert bool((inpainted[..., :2] == 0.25).all())


def test_to_uint8_rounds_to_the_nearest_and_clamps() -> None:
    values = torch.tensor([-3.0, -1.0, -1 + 1.4 / 127.5, -1 + 1.6 / 127.5, 1.0, 1.5])
    assert to_uint8(values).tolist() == [0, 0, 1, 2, 255, 255]
