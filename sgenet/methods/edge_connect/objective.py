"""What both stages of EdgeConnect are trained towards (Nazeri et al. 2019)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sgenet.batch import InpaintingBatch, Prediction
from sgenet.losses.adversarial import discriminator_loss, feature_matching_loss, generator_loss
from sgenet.losses.perceptual import perceptual_loss, style_loss
from sgenet.losses.reduction import mean_count
from sgenet.losses.vgg import VGG
from sgenet.methods.edge_connect.edges import canny_edges, to_gray
from sgenet.methods.edge_connect.network import judged
from sgenet.methods.edge_connect.settings import EdgeConnectSettings
from sgenet.methods.method import Discriminator, Objective, Terms

_PERCEPTUAL = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
_STYLE = ("relu2_2", "relu3_4", "relu4_4", "relu5_2")


class EdgeConnectObjective(Objective):
    """Edges: adversarial and feature matching. Image: L1, adversarial, perceptual and style."""

    trains_discriminator = True

    def __init__(self, settings: EdgeConnectSettings) -> None:
        super().__init__()
        self.settings = settings
        needs_vgg = settings.perceptual > 0 or settings.style > 0
        self.vgg = (
            VGG(19, _STYLE[-1], settings.perceptual_weights, "edge_connect.perceptual_weights") if needs_vgg else None
        )
        self._whole: tuple[InpaintingBatch, Tensor] | None = None

    def generator_terms(self, batch: InpaintingBatch, prediction: Prediction, discriminator: Discriminator) -> Terms:
        """The terms of both stages; those of the image stage whose weight is 0 are left out."""
        weights = self.settings
        whole = self._whole_judged(batch)
        with torch.no_grad():
            real = discriminator(whole)
        fake = discriminator(judged(whole[:, :1], prediction.auxiliary["edges"], prediction.image))
        edge_logits, image_logits = fake.logits
        # The published sum over the layers, where ours is a mean.
        matching = len(real.features) * feature_matching_loss(real.features, fake.features)
        terms = {
            "edge_adversarial": weights.edge_adversarial * generator_loss("bce", [edge_logits]),
            "edge_feature_matching": weights.edge_feature_matching * matching,
            "reconstruction": weights.reconstruction * hole_relative_l1(batch, prediction.image),
        }
        if weights.adversarial > 0:
            terms["adversarial"] = weights.adversarial * generator_loss("bce", [image_logits])
        if self.vgg is not None:
            terms.update(self._vgg_terms(self.vgg, batch, prediction.image))
        return terms

    def discriminator_terms(
        self, batch: InpaintingBatch, prediction: Prediction, discriminator: Discriminator
    ) -> Terms:
        """``edge_discriminator`` and ``discriminator``: true edges and images against drawn ones."""
        whole = self._whole_judged(batch)
        drawn = judged(whole[:, :1], prediction.auxiliary["edges"].detach(), prediction.image.detach())
        real, fake = discriminator(torch.cat((whole, drawn))).halves()
        return {
            "edge_discriminator": discriminator_loss("bce", real[:1], fake[:1]),
            "discriminator": discriminator_loss("bce", real[1:], fake[1:]),
        }

    def _whole_judged(self, batch: InpaintingBatch) -> Tensor:
        """What the discriminators see of whole images; kept for the second side, as Canny's edges take their time."""
        if self._whole is None or self._whole[0] is not batch:
            gray = to_gray(batch.image)
            edges = canny_edges(gray, self.settings.sigma) if batch.edges is None else batch.edges
            self._whole = batch, judged(gray, edges, batch.image)
        return self._whole[1]

    def _vgg_terms(self, vgg: VGG, batch: InpaintingBatch, image: Tensor) -> Terms:
        weights = self.settings
        terms: Terms = {}
        if weights.perceptual > 0:
            with torch.no_grad():
                target = vgg.activations(batch.image, _PERCEPTUAL, normalised=False)
            drawn = vgg.activations(image, _PERCEPTUAL, normalised=False)
            terms["perceptual"] = weights.perceptual * perceptual_loss(target, drawn)
        if weights.style > 0:
            with torch.no_grad():
                target = vgg.activations(_in_hole(batch.image, batch.hole_mask), _STYLE, normalised=False)
            drawn = vgg.activations(_in_hole(image, batch.hole_mask), _STYLE, normalised=False)
            terms["style"] = weights.style * style_loss(target, drawn)
        return terms


def along_true_edges(
    batch: InpaintingBatch, draws: Tensor, progress: float, *, settings: EdgeConnectSettings
) -> InpaintingBatch:
    """The batch with its true edges for the image stage, until ``settings.true_edges_until``; unchanged from there.

    As published, the image stage learns from true edges first, and then from what the edge stage draws.
    """
    if progress >= settings.true_edges_until:
        return batch
    return replace(batch, edges=canny_edges(to_gray(batch.image), settings.sigma))


def _in_hole(image: Tensor, hole_mask: Tensor) -> Tensor:
    """The image (B, 3, H, W) in [-1, 1], black outside the hole."""
    return (image + 1) * hole_mask - 1


def hole_relative_l1(batch: InpaintingBatch, image: Tensor) -> Tensor:
    """L1 over all pixels divided by the share that is missing, so that small holes count as much as large ones.

    Taken of images in [0, 1], as the published weights expect.
    """
    error = 0.5 * (batch.image - image).abs()
    return error.sum() / mean_count(error.shape[1] * batch.hole_mask.sum())
