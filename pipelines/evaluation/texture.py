"""Fillings whose texture is copied from the known pixels of the image, as the command line makes them."""

from __future__ import annotations

import torch
from torch import Tensor

from sgenet.batch import to_uint8
from sgenet.inpainter.exemplar import copy_texture


def with_texture(image: Tensor, hole_mask: Tensor, drawn: Tensor) -> Tensor:
    """What was drawn, refined by :func:`~sgenet.inpainter.exemplar.copy_texture`, one image at a time.

    Args:
        image: (B, 3, H, W) in [-1, 1].
        hole_mask: (B, 1, H, W), 1 = missing.
        drawn: (B, 3, H, W) in [-1, 1], by the network.

    Returns:
        (B, 3, H, W) uint8 on the CPU; only the hole is meant.
    """
    images, drawings = (tensor.float().permute(0, 2, 3, 1).cpu().numpy() for tensor in (image, drawn))
    holes = (hole_mask[:, 0] > 0).cpu().numpy()
    refined = [
        copy_texture(known, hole, hole, drawing) for known, hole, drawing in zip(images, holes, drawings, strict=True)
    ]
    return to_uint8(torch.stack([torch.from_numpy(pixels).permute(2, 0, 1) for pixels in refined]))
