"""Distances of VGG's activations: the VGG-16 part of Eq. 7, and style (Gatys et al., CVPR 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from sgenet.layers.resizing import resize
from sgenet.losses.vgg import VGG

_ACTIVATIONS = ("relu2_2", "relu3_3", "relu4_3")


class VGG16Features(VGG):
    """Ψ of Eq. 7: activations relu2_2, relu3_3 and relu4_3 of VGG-16.

    Args:
        weights: as :class:`sgenet.losses.vgg.VGG` takes them.
        setting: the key that they come from, for messages.

    Raises:
        CheckpointError: the weights cannot be had, or the file is not a VGG-16.
    """

    def __init__(self, weights: str, setting: str = "losses.perceptual_weights") -> None:
        super().__init__(16, _ACTIVATIONS[-1], weights, setting)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Activations of images (B, 3, H, W) in [-1, 1]."""
        return self.activations(image, _ACTIVATIONS)


def perceptual_loss(target_features: Sequence[Tensor], predicted_features: Sequence[Tensor]) -> Tensor:
    """Σ_n of the mean absolute difference of the activations (Eq. 7, second term)."""
    pairs = zip(target_features, predicted_features, strict=True)
    return torch.stack([(target - predicted).abs().mean() for target, predicted in pairs]).sum()


def gram_matrix(features: Tensor) -> Tensor:
    """F Fᵀ / (C·H·W) of activations (B, C, H, W): (B, C, C) float32."""
    channels, height, width = features.shape[1:]
    # Sums over all pixels: bfloat16 would lose the small differences between two of them.
    with torch.autocast(features.device.type, enabled=False):
        flat = features.float().flatten(2)
        return flat @ flat.transpose(1, 2) / (channels * height * width)


def style_loss(target_features: Sequence[Tensor], predicted_features: Sequence[Tensor]) -> Tensor:
    """Σ_n of the mean absolute difference of the Gram matrices."""
    pairs = zip(target_features, predicted_features, strict=True)
    return torch.stack([(gram_matrix(one) - gram_matrix(other)).abs().mean() for one, other in pairs]).sum()


def multi_scale_perceptual(
    vgg: VGG16Features, target: Tensor, images: Sequence[Tensor], scales: Sequence[int]
) -> Tensor:
    """Σ_l of :func:`perceptual_loss` of up(Ŷ^l) over the given scales (Eq. 10)."""
    with torch.no_grad():
        target_features = vgg(target)
    terms = [_distance(vgg, target_features, resize(images[scale], target.shape[2:])) for scale in scales]
    return torch.stack(terms).sum()


def _distance(vgg: VGG16Features, target_features: list[Tensor], image: Tensor) -> Tensor:
    if torch.is_grad_enabled() and image.requires_grad:
        distance: Tensor = _DistanceWithGradient.apply(image, vgg, target_features)
        return distance
    return perceptual_loss(target_features, vgg(image))


class _DistanceWithGradient(torch.autograd.Function):
    """The distance, its gradient computed along with it: of five scales' activations, one's are alive at a time."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, vgg: VGG16Features, target_features: list[Tensor]) -> Tensor:
        with torch.enable_grad():
            leaf = image.detach().requires_grad_()
            # Seen as no leaf: PyTorch's FLOP counter cannot follow a gradient that ends at what a module was given.
            distance = perceptual_loss(target_features, vgg(leaf.view_as(leaf)))
            (gradient,) = torch.autograd.grad(distance, leaf)
        ctx.save_for_backward(gradient)
        return distance.detach()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return upstream[0] * gradient, None, None
