"""What a client sends: images as files and as base64."""

from __future__ import annotations

import base64
import io

import numpy as np
from inpainting_files import saved
from PIL import Image


def random_image(height: int = 20, width: int = 28, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def mask(height: int = 20, width: int = 28) -> np.ndarray:
    hole = np.zeros((height, width), np.uint8)
    hole[5:12, 6:20] = 255
    return hole


def text_of(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def row(image: np.ndarray | None = None, hole: np.ndarray | None = None) -> dict[str, str]:
    """A row of JSON; what is not given is :func:`random_image` and :func:`mask`."""
    return {
        "image": text_of(saved(random_image() if image is None else image)),
        "hole_mask": text_of(saved(mask() if hole is None else hole)),
    }


def pixels_of(content: str | bytes) -> np.ndarray:
    """The image in a PNG, or in the base64 of one."""
    data = base64.b64decode(content) if isinstance(content, str) else content
    return np.asarray(Image.open(io.BytesIO(data)))
