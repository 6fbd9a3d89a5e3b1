from __future__ import annotations

import numpy as np
import pytest

from pipelines.data.adapters.labels import LabelMap
from sgenet.errors import DataError


def test_without_a_class_map_ids_stay_and_255_is_ignore() -> None:
    mapped = LabelMap("folder", 4)(np.array([[0, 3], [255, 1]], np.uint8))
    assert mapped.dtype == np.uint8
    assert mapped.tolist() == [[0, 3], [255, 1]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_id_out_of_range_is_named(dtype: type) -> None:
    with pytest.raises(DataError, match=r"label ids 4, 254 are out of range \(source folder\): ids are 0 … 3, or 255"):
        LabelMap("folder", 4)(np.array([[0, 254], [4, 255]], dtype))


def test_a_16_bit_id_does_not_wrap_around() -> None:
    with pytest.raises(DataError, match="label ids 256, 65535 are"):
        LabelMap("folder", 4)(np.array([[256, 65535]], np.uint16))


def test_ids_a_class_map_does_not_name_become_ignore() -> None:
    label_map = LabelMap("folder", 8, class_map={0: 1, 7: 0, 300: 5})
    assert label_map(np.array([[0, 7, 3, 255, 300]], np.uint16)).tolist() == [[1, 0, 255, 255, 5]]


def test_a_class_map_applies_to_the_own_ids_of_the_source() -> None:
    label_map = LabelMap("cityscapes", 8, own_ids={7: 0, 23: 10, 4: 255}, class_map={0: 5, 10: 1})
    assert label_map(np.array([[7, 23, 4]], np.uint8)).tolist() == [[5, 1, 255]]


def test_a_colour_image_is_no_label_map() -> None:
    with pytest.raises(DataError, match=r"has the shape \(2, 2, 3\) of uint8; save one channel"):
        LabelMap("folder", 4)(np.zeros((2, 2, 3), np.uint8))
