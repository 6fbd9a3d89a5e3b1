"""What is painted arrives as it was painted, and nothing else is taken for it."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.inference.page.layers import decode_guide, decode_hole, decode_layer, encode_layer
from sgenet.errors import DataError


def sent(runs: object, width: object = 4, height: object = 2) -> dict[str, object]:
    return {"width": width, "height": height, "runs": runs}


@pytest.mark.parametrize("most", [1, 2, 256])
def test_a_layer_survives_the_way_there_and_back(most):
    layer = np.random.default_rng(most).integers(0, most, (7, 11), dtype=np.uint8)
    np.testing.assert_array_equal(decode_layer(encode_layer(layer), (7, 11)), layer)


def test_runs_go_on_over_the_end_of_a_row():
    layer = np.array([[0, 0, 0, 5], [5, 5, 0, 0]], np.uint8)
    assert encode_layer(layer) == sent([0, 3, 5, 3, 0, 2])


@pytest.mark.parametrize(
    "hostile",
    [
        None,
        "x",
        [],
        {},
        sent(None),
        sent("0101"),
        sent([0]),
        sent([0, 7]),
        sent([0, 9]),
        sent([0, 8, 1, 0]),
        sent([0, -1, 1, 9]),
        sent([256, 8]),
        sent([-1, 8]),
        sent([0.0, 8]),
        sent([True, 8]),
        sent([0, 8], width=8, height=1),
        sent([0, 2**64 + 8]),
        sent([0, 8, 0, 2**63, 0, 2**63]),
        sent([[0], 8]),
    ],
)
def test_what_is_no_layer_of_the_images_size_is_refused_in_one_sentence(hostile):
    with pytest.raises(DataError, match="does not fit the image"):
        decode_layer(hostile, (2, 4))


def test_a_layer_that_was_painted_on_a_smaller_copy_covers_the_image():
    layer = np.array([[0, 1], [0, 0]], np.uint8)
    hole = decode_hole(encode_layer(layer), (2, 2), (4, 6))
    expected = np.zeros((4, 6), bool)
    expected[:2, 3:] = True
    np.testing.assert_array_equal(hole, expected)


def test_a_class_that_the_model_does_not_know_is_refused_and_255_is_none():
    painted = np.array([[7, 255]], np.uint8)
    np.testing.assert_array_equal(decode_guide(encode_layer(painted), (1, 2), (1, 2), num_classes=8), painted)
    with pytest.raises(DataError, match="belong to another model"):
        decode_guide(encode_layer(painted), (1, 2), (1, 2), num_classes=7)
