"""What a served model answers: pictures as base64 text."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.inference.pictures import encode_png
from sgenet.inpainter import Inpainted

Answer = dict[str, str | float | None]


def answer(inpainted: Inpainted) -> Answer:
    """One row of an answer.

    Returns:
        ``inpainted``, a base64 PNG; ``segmentation``, a base64 PNG of class ids, or None for a method
        without; ``confidence``, the mean in the hole from 0 to 1, or None without a hole or a segmentation.
    """
    return {
        "inpainted": to_base64(inpainted.image),
        "segmentation": None if inpainted.label is None else to_base64(inpainted.label),
        "confidence": inpainted.hole_confidence,
    }


def to_base64(pixels: npt.NDArray[Any]) -> str:
    """(H, W, 3) RGB or (H, W) grey uint8 as the base64 text of a PNG."""
    return base64.b64encode(encode_png(np.asarray(pixels, dtype=np.uint8))).decode("ascii")
