"""Fillings whose texture is copied from the known pixels of the image, as the command line makes them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from sgenet.batch import Prediction, to_uint8
from sgenet.evaluation.confidence import label_confidence
from sgenet.inpainter.exemplar import copy_texture
from sgenet.inpainter.network import coarse_features
from sgenet.inpainter.pyramid import Floats, Ids


def with_texture(image: Tensor, hole_mask: Tensor, prediction: Prediction) -> Tensor:
    """What was drawn, refined by :func:`~sgenet.inpainter.exemplar.copy_texture`, one image at a time.

    Args:
        image: (B, 3, H, W) in [-1, 1].
        hole_mask: (B, 1, H, W), 1 = missing.
        prediction: what the network drew, and the classes and features that guide the copies where it has some.

    Returns:
        (B, 3, H, W) uint8 on the CPU; only the hole is meant.
    """
    images, drawings = (tensor.float().permute(0, 2, 3, 1).cpu().numpy() for tensor in (image, prediction.image))
    holes = (hole_mask[:, 0] > 0).cpu().numpy()
    classes: Iterable[tuple[Ids | None, Floats | None]] = [(None, None)] * len(images)
    if prediction.label_logits:
        label, confidence = label_confidence(prediction.label_logits[0])
        classes = zip(label.to(torch.uint8).cpu().numpy(), confidence.cpu().numpy(), strict=True)
    features = [coarse_features(prediction, index=index) for index in range(len(images))]
    refined = [
        copy_texture(known, hole, hole, drawing, *guidance, features=found)
        for known, hole, drawing, guidance, found in zip(images, holes, drawings, classes, features, strict=True)
    ]
    return to_uint8(torch.stack([torch.from_numpy(pixels).permute(2, 0, 1) for pixels in refined]))
