"""Fillings whose texture is copied from the known pixels of the image, as the command line makes them."""

from __future__ import annotations

import torch
from torch import Tensor

from sgenet.batch import Prediction, to_uint8
from sgenet.evaluation.confidence import label_confidence
from sgenet.inpainter.exemplar import copy_texture


def with_texture(image: Tensor, hole_mask: Tensor, prediction: Prediction) -> Tensor:
    """What was drawn, refined by :func:`~sgenet.inpainter.exemplar.copy_texture`, one image at a time.

    Args:
        image: (B, 3, H, W) in [-1, 1], float32.
        hole_mask: (B, 1, H, W), 1 = missing.
        prediction: of the generator; its segmentation, where it has one, says which class may be copied where.

    Returns:
        (B, 3, H, W) uint8 on the CPU; only the hole is meant.
    """
    label = confidence = None
    if prediction.label_logits:
        label, confidence = (tensor.cpu().numpy() for tensor in label_confidence(prediction.label_logits[0]))
    known, drawn = (tensor.float().permute(0, 2, 3, 1).cpu().numpy() for tensor in (image, prediction.image))
    refined = [
        copy_texture(
            known[index],
            hole,
            hole,
            drawn[index],
            None if label is None else label[index],
            None if confidence is None else confidence[index],
            device=image.device,
        )
        for index, hole in enumerate((hole_mask[:, 0] > 0).cpu().numpy())
    ]
    return to_uint8(torch.stack([torch.from_numpy(pixels).permute(2, 0, 1) for pixels in refined]))
