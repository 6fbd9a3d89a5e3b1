"""Lossless images and label maps, with the same bytes everywhere."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

# Run lengths and Huffman codes only: deflate's search for longer matches depends on the processor in some zlib builds.
_ZLIB_RLE = 3


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """(H, W, 3) uint8 RGB, or (H, W) uint8 class ids, as PNG."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG", compress_type=_ZLIB_RLE)
    return content.getvalue()
