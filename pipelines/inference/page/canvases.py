"""What the two canvases of the page show, as the values that ``static/painter.js`` reads."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np

from pipelines.inference.page.images import Pixels, data_address, display_size, shrink
from pipelines.inference.page.layers import MARKED, Layer, encode_layer, resize_layer
from pipelines.inference.page.session import Filling


def shown_image(pixels: Pixels, painted: Layer | None = None) -> dict[str, Any]:
    """An image to mark a hole in.

    Args:
        painted: (H, W) what is marked already.
    """
    size = display_size(pixels.shape[0], pixels.shape[1])
    return {
        # An image that is opened twice is shown again, too.
        "id": uuid.uuid4().hex,
        "image": data_address(shrink(pixels)),
        "width": size[1],
        "height": size[0],
        "painted": None if painted is None else encode_layer(resize_layer(painted, size)),
    }


def shown_segmentation(filling: Filling, painted: Layer | None = None) -> dict[str, Any]:
    """A filled image under its predicted classes, with the classes (H, W) that were painted before."""
    inpainted, names = filling.inpainted, filling.label_space
    assert inpainted.label is not None, "only methods with a segmentation are edited"
    size = display_size(inpainted.hole.shape[0], inpainted.hole.shape[1])
    return {
        **shown_image(inpainted.image, painted),
        "labels": encode_layer(resize_layer(inpainted.label, size)),
        "hole": encode_layer(resize_layer(inpainted.hole.astype(np.uint8) * MARKED, size)),
        "classes": [
            {"name": name, "colour": list(colour)} for name, colour in zip(names.names, names.colours, strict=True)
        ],
    }


def shown_sentence(sentence: str) -> dict[str, Any]:
    """In the canvas's place, why there is none."""
    return {"id": uuid.uuid4().hex, "sentence": sentence}
