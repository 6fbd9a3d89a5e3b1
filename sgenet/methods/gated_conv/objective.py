"""What GatedConv is trained towards: L1 of both images, and the hinge loss of SN-PatchGAN."""

from __future__ import annotations

import torch
from torch import Tensor

from sgenet.batch import InpaintingBatch, Prediction, composite
from sgenet.losses.adversarial import discriminator_loss, generator_loss
from sgenet.losses.reconstruction import multi_scale_l1
from sgenet.methods.gated_conv.settings import GatedConvSettings
from sgenet.methods.method import Discriminator, Objective, Terms


class GatedConvObjective(Objective):
    """Mean L1 of the coarse and of the refined image over all pixels, plus a hinge term in the filled image."""

    def __init__(self, settings: GatedConvSettings) -> None:
        super().__init__()
        self.settings = settings
        self.trains_discriminator = settings.adversarial > 0

    def generator_terms(self, batch: InpaintingBatch, prediction: Prediction, discriminator: Discriminator) -> Terms:
        """``reconstruction`` and, where its weight is not 0, ``adversarial``."""
        images = (prediction.auxiliary["coarse"], prediction.image)
        l1 = multi_scale_l1(batch.image, images, batch.hole_mask)
        terms = {"reconstruction": self.settings.reconstruction * l1}
        if self.trains_discriminator:
            fake = discriminator(_judged(_filled(batch, prediction), batch.hole_mask))
            terms["adversarial"] = self.settings.adversarial * generator_loss("hinge", fake.logits)
        return terms

    def discriminator_terms(
        self, batch: InpaintingBatch, prediction: Prediction, discriminator: Discriminator
    ) -> Terms:
        """``discriminator``: whole images against filled ones, each with the same holes."""
        images = torch.cat((batch.image, _filled(batch, prediction).detach()))
        real, fake = discriminator(_judged(images, batch.hole_mask.repeat(2, 1, 1, 1))).halves()
        return {"discriminator": discriminator_loss("hinge", real, fake)}


def _filled(batch: InpaintingBatch, prediction: Prediction) -> Tensor:
    return composite(prediction.image, batch.image, batch.hole_mask)


def _judged(images: Tensor, hole_mask: Tensor) -> Tensor:
    return torch.cat((images, hole_mask), dim=1)
