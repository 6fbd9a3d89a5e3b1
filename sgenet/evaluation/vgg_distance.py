"""VGG distance: how different two images look in the features of a VGG-16, texture included.

The mean over three activations of ‖Ψ(x) − Ψ(y)‖₁ / ‖Ψ(x)‖₁, where x is the original. Its weights were trained on
photographs, but are not torchvision's: it is no LPIPS, and compares with nobody's published numbers.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from sgenet.checks import check_shape
from sgenet.evaluation.networks import PublishedWeights, check_weights
from sgenet.losses.vgg import VGG

WEIGHTS = PublishedWeights(
    "vgg16_photographs.pth",
    "f12645c39f59bfbdec0552da888718e6e595641d5ad6010ff2bab9065f4555eb",
    "VGG distance",
)
"""VGG-16 of ImageNet, trained on for edges (HED); every layer scaled to a mean activation of 1 over photographs."""

LAYERS = ("relu2_2", "relu3_3", "relu4_3")


def load_vgg(path: Path, setting: str) -> VGG:
    """The network with the weights that the VGG distance is defined by.

    Args:
        path: of :data:`WEIGHTS`.
        setting: the key that it comes from, for messages.

    Raises:
        CheckpointError: the file cannot be read, or is another one.
    """
    check_weights(path, WEIGHTS, setting)
    return VGG(16, LAYERS[-1], str(path), setting)


@torch.inference_mode()
def vgg_distances(network: VGG, inpainted: Tensor, original: Tensor) -> list[float]:
    """VGG distance of each of the images (B, 3, H, W) uint8, one at a time, so that no result depends on the batch.

    0 for equal images; H and W are at least 8.
    """
    sizes = check_shape(original, "B 3 H W", "original")
    check_shape(inpainted, "B 3 H W", "inpainted", **sizes)
    distances = [_distance(network, one, other) for one, other in zip(inpainted, original, strict=True)]
    found: list[float] = torch.stack(distances).tolist()
    return found


def _distance(network: VGG, inpainted: Tensor, original: Tensor) -> Tensor:
    found, wanted = (
        network.activations(image[None].to(network.mean.device, torch.float32) / 127.5 - 1, LAYERS)
        for image in (inpainted, original)
    )
    terms = [(x - y).abs().sum() / x.abs().sum() for x, y in zip(wanted, found, strict=True)]
    return torch.stack(terms).mean()
