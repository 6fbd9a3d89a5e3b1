"""What LaMa is trained towards (Suvorov et al., WACV 2022). All terms are of images in [0, 1], as published."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sgenet.batch import InpaintingBatch, Prediction
from sgenet.losses.adversarial import generator_loss, r1_penalty
from sgenet.losses.perceptual import VGG16Features
from sgenet.methods.lama.settings import LamaSettings
from sgenet.methods.method import Discriminator, Objective, Terms


class LamaObjective(Objective):
    """L1 on known pixels, a non-saturating adversarial term with R1, feature matching and a perceptual distance."""

    def __init__(self, settings: LamaSettings) -> None:
        super().__init__()
        self.settings = settings
        self.trains_discriminator = settings.adversarial > 0 or settings.feature_matching > 0
        self.vgg = (
            VGG16Features(settings.perceptual_weights, "lama.perceptual_weights") if settings.perceptual > 0 else None
        )

    def generator_terms(self, batch: InpaintingBatch, prediction: Prediction, discriminator: Discriminator) -> Terms:
        """The terms whose weight is not 0."""
        weights = self.settings
        target, drawn = _unit(batch.image), _unit(prediction.image)
        known_error = (target - drawn).abs() * (1 - batch.hole_mask)
        terms = {"reconstruction": weights.reconstruction * known_error.mean()}
        if self.trains_discriminator:
            fake = discriminator(drawn)
            terms["adversarial"] = weights.adversarial * generator_loss("bce", fake.logits)
            if weights.feature_matching > 0:
                with torch.no_grad():
                    real = discriminator(target)
                pairs = zip(real.features, fake.features, strict=True)
                distance = torch.stack([F.mse_loss(found, wanted) for wanted, found in pairs]).mean()
                terms["feature_matching"] = weights.feature_matching * distance
        if self.vgg is not None:
            terms["perceptual"] = weights.perceptual * normalised_distance(self.vgg, batch.image, prediction.image)
        return terms

    def discriminator_terms(
        self, batch: InpaintingBatch, prediction: Prediction, discriminator: Discriminator
    ) -> Terms:
        """``discriminator`` and, where set, ``discriminator_r1``; predicted patches outside the hole count as real.

        Real and predicted images are judged one after the other, so that each has its own batch statistics.
        """
        weights = self.settings
        target = _unit(batch.image).detach().requires_grad_(weights.r1 > 0)
        # Seen as no leaf: PyTorch's FLOP counter cannot follow a gradient that ends at what a module was given.
        (real,), (fake,) = (
            discriminator(target.view_as(target)).logits,
            discriminator(_unit(prediction.image.detach())).logits,
        )
        missing = F.interpolate(batch.hole_mask, size=fake.shape[2:])
        of_fake = missing * F.softplus(fake) + (1 - missing) * F.softplus(-fake)
        terms = {"discriminator": F.softplus(-real).mean() + of_fake.mean()}
        if weights.r1 > 0:
            # Published without the half.
            terms["discriminator_r1"] = 2 * weights.r1 * r1_penalty(target, [real])
        return terms


def normalised_distance(vgg: VGG16Features, target: Tensor, predicted: Tensor) -> Tensor:
    """Σ over activations of the mean squared difference of their directions, as LPIPS takes it (Zhang et al. 2018).

    Args:
        target, predicted: (B, 3, H, W) in [-1, 1].
    """
    with torch.no_grad():
        wanted = [F.normalize(features.float(), dim=1) for features in vgg(target)]
    found = [F.normalize(features.float(), dim=1) for features in vgg(predicted)]
    return torch.stack([(a - b).square().sum(dim=1).mean() for a, b in zip(wanted, found, strict=True)]).sum()


def _unit(image: Tensor) -> Tensor:
    return image * 0.5 + 0.5
