"""What is painted in the browser, as numbers: a layer of bytes, sent as runs of equal values.

Runs rather than an image: browsers that guard against fingerprinting alter the pixels that a page reads back
from a canvas, and a class id must arrive as it was painted. Nor does anything untrusted need decoding.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from sgenet.errors import DataError
from sgenet.label_space import IGNORE_ID

Layer = npt.NDArray[np.uint8]

MARKED = 1
"""A pixel of the hole in a painted layer; 0 elsewhere."""


def encode_layer(layer: Layer) -> dict[str, object]:
    """A layer (h, w) of bytes as ``{"width", "height", "runs": [value, count, value, count, …]}``, row by row."""
    flat = layer.ravel()
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1])
    counts = np.diff(np.concatenate([starts, [flat.size]]))
    runs = np.stack([flat[starts].astype(np.int64), counts], axis=1).ravel()
    return {"width": layer.shape[1], "height": layer.shape[0], "runs": runs.tolist()}


def decode_layer(sent: object, size: tuple[int, int]) -> Layer:
    """What :func:`encode_layer` made, or the painter in the browser.

    Args:
        sent: from the browser, and so anything at all.
        size: (height, width) that it must have.

    Raises:
        DataError: it is not a layer of that size.
    """
    damaged = DataError("what was painted does not fit the image; load the image again and paint again")
    if not isinstance(sent, dict) or (sent.get("height"), sent.get("width")) != size:
        raise damaged
    runs = sent.get("runs")
    if not isinstance(runs, list) or not all(type(number) is int for number in runs) or len(runs) % 2:
        raise damaged
    # Compared as Python's integers, which do not overflow.
    values, counts = runs[0::2], runs[1::2]
    if not all(0 <= value <= 255 for value in values) or not all(count > 0 for count in counts):
        raise damaged
    if sum(counts) != size[0] * size[1]:
        raise damaged
    return np.repeat(np.array(values, np.uint8), counts).reshape(size)


def decode_hole(sent: object, painted: tuple[int, int], wanted: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The hole at the image's size: True = missing.

    Args:
        painted: (height, width) of the image as it is shown.
        wanted: (height, width) of the image.

    Raises:
        DataError: as :func:`decode_layer`.
    """
    return resize_layer(decode_layer(sent, painted), wanted).astype(np.bool_)


def decode_guide(sent: object, painted: tuple[int, int], wanted: tuple[int, int], num_classes: int) -> Layer:
    """The painted classes at the image's size, 255 = left to the network.

    Raises:
        DataError: as :func:`decode_layer`, or a class that the model does not know.
    """
    layer = decode_layer(sent, painted)
    if ((layer >= num_classes) & (layer != IGNORE_ID)).any():
        raise DataError("the painted classes belong to another model; fill with this model first, then paint again")
    return resize_layer(layer, wanted)


def resize_layer(layer: Layer, size: tuple[int, int]) -> Layer:
    """Another (height, width), each pixel from the nearest one."""
    if layer.shape == size:
        return layer
    return np.asarray(Image.fromarray(layer).resize((size[1], size[0]), Image.Resampling.NEAREST))
