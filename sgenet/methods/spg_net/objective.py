"""What the three networks of SPG-Net are trained towards (Song et al., BMVC 2018)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from sgenet.batch import InpaintingBatch, Prediction
from sgenet.label_space import IGNORE_ID
from sgenet.losses.adversarial import discriminator_loss, feature_matching_loss, generator_loss
from sgenet.losses.reconstruction import l1_loss
from sgenet.losses.segmentation import segmentation_loss
from sgenet.losses.vgg import VGG
from sgenet.methods.method import Discriminator, Objective, Terms
from sgenet.methods.spg_net.network import judged, one_hot
from sgenet.methods.spg_net.settings import SPGNetSettings

_PERCEPTUAL = {"relu1_1": 1 / 32, "relu2_1": 1 / 16, "relu3_1": 1 / 8, "relu4_1": 1 / 4, "relu5_1": 1.0}
"""VGG-19's activations and their weights, those of pix2pixHD (Wang et al., CVPR 2018), whose networks these are."""

_T = TypeVar("_T")


class SPGNetObjective(Objective):
    """Label map: hinge and feature matching. Image: hinge, feature matching and VGG-19.

    *Ours*: ``input_segmentation``, the cross-entropy of the input segmenter on known, labelled pixels (it alone
    trains that network, so that its weight would change nothing); and two terms whose weight is 0 as
    published, ``segmentation``, the cross-entropy of the completed label map, and ``reconstruction``, L1.

    Where a label is to be ignored, neither true nor predicted label map shows the discriminator anything.
    """

    trains_discriminator = True

    def __init__(self, settings: SPGNetSettings) -> None:
        super().__init__()
        self.settings = settings
        self.vgg = (
            VGG(19, "relu5_1", settings.perceptual_weights, "spg_net.perceptual_weights")
            if settings.perceptual > 0
            else None
        )

    def generator_terms(self, batch: InpaintingBatch, prediction: Prediction, discriminator: Discriminator) -> Terms:
        """The terms of all three networks; those whose weight is 0 are left out, but for ``reconstruction``."""
        weights = self.settings
        with torch.no_grad():
            real = discriminator(_true(batch, prediction))
        fake = discriminator(_predicted(batch, prediction))
        label_logits, image_logits = _halves(fake.logits)
        real_label, real_image = _halves(real.features)
        fake_label, fake_image = _halves(fake.features)
        terms = {
            "label_adversarial": weights.label_adversarial * generator_loss("hinge", label_logits),
            "label_feature_matching": weights.label_feature_matching * _matching(real_label, fake_label),
            "input_segmentation": _known_cross_entropy(batch, prediction),
            "adversarial": weights.adversarial * generator_loss("hinge", image_logits),
            "feature_matching": weights.feature_matching * _matching(real_image, fake_image),
            # Also with a weight of 0: the history of every method has a column of this name.
            "reconstruction": weights.reconstruction * l1_loss(batch.image, prediction.image, batch.hole_mask),
        }
        if weights.segmentation > 0:
            entropy = segmentation_loss(batch.label, prediction.label_logits[0])
            terms["segmentation"] = weights.segmentation * entropy
        if self.vgg is not None:
            terms["perceptual"] = weights.perceptual * weighted_perceptual(self.vgg, batch.image, prediction.image)
        return terms

    def discriminator_terms(
        self, batch: InpaintingBatch, prediction: Prediction, discriminator: Discriminator
    ) -> Terms:
        """``label_discriminator`` and ``discriminator``: true label maps and images against predicted ones."""
        both = torch.cat((_true(batch, prediction), _predicted(batch, prediction).detach()))
        real, fake = discriminator(both).halves()
        (real_label, real_image), (fake_label, fake_image) = _halves(real), _halves(fake)
        return {
            "label_discriminator": discriminator_loss("hinge", real_label, fake_label),
            "discriminator": discriminator_loss("hinge", real_image, fake_image),
        }


def weighted_perceptual(vgg: VGG, target: Tensor, predicted: Tensor) -> Tensor:
    """Σ_n w_n of the mean absolute difference of VGG-19's activations; images (B, 3, H, W) in [-1, 1]."""
    with torch.no_grad():
        target_features = vgg.activations(target, tuple(_PERCEPTUAL))
    predicted_features = vgg.activations(predicted, tuple(_PERCEPTUAL))
    pairs = zip(_PERCEPTUAL.values(), target_features, predicted_features, strict=True)
    return torch.stack([weight * (one - other).abs().mean() for weight, one, other in pairs]).sum()


def _true(batch: InpaintingBatch, prediction: Prediction) -> Tensor:
    num_classes = prediction.label_logits[0].shape[1]
    return judged(batch.corrupted, one_hot(batch.label, num_classes), batch.image)


def _predicted(batch: InpaintingBatch, prediction: Prediction) -> Tensor:
    labelled = (batch.label != IGNORE_ID)[:, None]
    probabilities = F.softmax(prediction.label_logits[0], dim=1) * labelled
    return judged(batch.corrupted, probabilities, prediction.image)


def _halves(of_both_discriminators: Sequence[_T]) -> tuple[Sequence[_T], Sequence[_T]]:
    """What the label discriminator says, and as much that the image discriminator says."""
    middle = len(of_both_discriminators) // 2
    return of_both_discriminators[:middle], of_both_discriminators[middle:]


def _matching(real_features: Sequence[Tensor], fake_features: Sequence[Tensor]) -> Tensor:
    """Summed over layers and scales, where ours is a mean."""
    return len(real_features) * feature_matching_loss(real_features, fake_features)


def _known_cross_entropy(batch: InpaintingBatch, prediction: Prediction) -> Tensor:
    known = torch.where(batch.hole_mask[:, 0] > 0.5, IGNORE_ID, batch.label)
    return segmentation_loss(known, prediction.auxiliary["input_label_logits"])
