"""The final training loss, Eq. 10, as named terms."""

from __future__ import annotations

import torch

from sgenet.batch import InpaintingBatch, Prediction
from sgenet.losses.adversarial import discriminator_loss, feature_matching_loss, generator_loss, r1_penalty
from sgenet.losses.perceptual import VGG16Features, multi_scale_perceptual
from sgenet.losses.reconstruction import multi_scale_l1, psnr_loss
from sgenet.losses.segmentation import multi_scale_segmentation
from sgenet.losses.structural import structural_loss
from sgenet.methods.method import Discriminator, Objective, Terms
from sgenet.settings import LossSettings


class SGEObjective(Objective):
    """Σ_l L_re + λ_α L_ad + λ_s Σ_l L_se (Eq. 10), for SGE-Net, SG-Net and Base-Net alike."""

    def __init__(self, settings: LossSettings) -> None:
        super().__init__()
        self.settings = settings
        self.trains_discriminator = settings.adversarial > 0
        self.vgg = VGG16Features(settings.perceptual_weights) if settings.perceptual > 0 else None

    def generator_terms(self, batch: InpaintingBatch, prediction: Prediction, discriminator: Discriminator) -> Terms:
        """The terms of Eq. 10 under their names, and those of ours whose weight is not 0."""
        weights = self.settings
        l1 = multi_scale_l1(batch.image, prediction.images, batch.hole_mask, weights.hole_weight)
        terms = {"reconstruction": weights.reconstruction * l1}
        if weights.psnr > 0:
            terms["psnr"] = weights.psnr * psnr_loss(batch.image, prediction.image, batch.hole_mask)
        if weights.structural > 0:
            loss = structural_loss(batch.image, prediction.image, batch.hole_mask)
            terms["structural"] = weights.structural * loss
        if self.vgg is not None:
            distance = multi_scale_perceptual(self.vgg, batch.image, prediction.images, weights.perceptual_scales)
            terms["perceptual"] = weights.perceptual * distance
        # Also with λ_s = 0, where it is a term of zeros: every parameter keeps its place in the graph.
        entropy = multi_scale_segmentation(
            batch.label,
            prediction.own_logits or prediction.label_logits,
            batch.hole_mask,
            weights.segmentation_hole_weight,
            batch.guide,
            weights.segmentation_class_balance,
        )
        terms["segmentation"] = weights.segmentation * entropy
        if self.trains_discriminator:
            terms.update(self._adversarial_terms(batch, prediction, discriminator))
        return terms

    def _adversarial_terms(self, batch: InpaintingBatch, prediction: Prediction, discriminator: Discriminator) -> Terms:
        weights = self.settings
        fake = discriminator(prediction.image)
        terms = {"adversarial": weights.adversarial * generator_loss(weights.adversarial_kind, fake.logits)}
        if weights.feature_matching > 0:
            with torch.no_grad():
                real = discriminator(batch.image)
            matching = feature_matching_loss(real.features, fake.features)
            terms["feature_matching"] = weights.feature_matching * matching
        return terms

    def discriminator_terms(
        self, batch: InpaintingBatch, prediction: Prediction, discriminator: Discriminator
    ) -> Terms:
        """``discriminator`` and, where set, ``discriminator_r1``."""
        weights = self.settings
        real_image = batch.image.detach().requires_grad_(weights.r1 > 0)
        real, fake = discriminator(torch.cat((real_image, prediction.image.detach()))).halves()
        terms = {"discriminator": discriminator_loss(weights.adversarial_kind, real, fake)}
        if weights.r1 > 0:
            terms["discriminator_r1"] = weights.r1 * r1_penalty(real_image, real)
        return terms
