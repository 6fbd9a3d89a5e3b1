"""Eq. 10: which terms there are, how they are weighted, and whom they train."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small import small_batch, small_method
from torch import Tensor, nn

from sgenet.batch import InpaintingBatch, Prediction
from sgenet.layers.discriminator import DiscriminatorOutput
from sgenet.losses.adversarial import discriminator_loss, generator_loss
from sgenet.losses.perceptual import VGG16Features, multi_scale_perceptual
from sgenet.losses.reconstruction import multi_scale_l1
from sgenet.losses.segmentation import multi_scale_segmentation
from sgenet.methods.sge_net.objective import SGEObjective
from sgenet.settings import LossSettings


def _drawn() -> tuple[InpaintingBatch, Prediction, nn.Module]:
    """A batch, what SGE-Net draws for it with gradients, and its discriminator with fixed spectral vectors."""
    method, batch = small_method(), small_batch()
    return batch, method.generator(batch.image, batch.hole_mask), method.discriminator.eval()


def _objective(**losses: Any) -> SGEObjective:
    return SGEObjective(LossSettings(**{"perceptual": 0.0} | losses))


def _values(terms: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(term.detach()) for name, term in terms.items()}


def test_the_generator_s_terms_are_those_of_equation_10_with_their_weights() -> None:
    batch, prediction, discriminator = _drawn()
    objective = _objective(
        reconstruction=2.0,
        hole_weight=3.0,
        perceptual=0.25,
        perceptual_weights="random",
        perceptual_scales=(0, 2),
        adversarial=0.5,
        adversarial_kind="bce",
        segmentation=0.75,
        segmentation_hole_weight=1.0,
    )
    vgg = VGG16Features("random")
    expected = {
        "reconstruction": 2.0 * multi_scale_l1(batch.image, prediction.images, batch.hole_mask, 3.0),
        "perceptual": 0.25 * multi_scale_perceptual(vgg, batch.image, prediction.images, (0, 2)),
        "segmentation": 0.75
        * multi_scale_segmentation(batch.label, prediction.label_logits, batch.hole_mask, hole_weight=1.0),
        "adversarial": 0.5 * generator_loss("bce", discriminator(prediction.image).logits),
    }
    assert _values(objective.generator_terms(batch, prediction, discriminator)) == pytest.approx(
        _values(expected), rel=1e-5
    )


def test_terms_of_weight_0_are_left_out_or_zero() -> None:
    batch, prediction, discriminator = _drawn()
    terms = _objective(adversarial=0.0, segmentation=0.0).generator_terms(batch, prediction, discriminator)
    assert terms.keys() == {"reconstruction", "segmentation"}
    assert float(terms["segmentation"].detach()) == 0
    assert not _objective(adversarial=0.0).trains_discriminator


def test_the_discriminator_s_term_compares_the_whole_image_with_the_prediction() -> None:
    batch, prediction, discriminator = _drawn()
    for kind in ("bce", "hinge", "lsgan"):
        terms = _objective(adversarial_kind=kind).discriminator_terms(batch, prediction, discriminator)
        expected = discriminator_loss(kind, discriminator(batch.image).logits, discriminator(prediction.image).logits)
        assert _values(terms) == pytest.approx({"discriminator": float(expected.detach())}, rel=1e-5)


def test_r1_is_taken_on_real_images_alone() -> None:
    batch, prediction, _ = _drawn()
    weight = torch.randn(3, 32, 32, generator=torch.Generator().manual_seed(1))

    def linear(image: Tensor) -> DiscriminatorOutput:
        return DiscriminatorOutput(((image * weight).sum(dim=(1, 2, 3)),), ())

    terms = _objective(r1=4.0).discriminator_terms(batch, prediction, linear)
    assert float(terms["discriminator_r1"].detach()) == pytest.approx(
        4.0 * 0.5 * float(weight.square().sum()), rel=1e-5
    )
    assert not batch.image.requires_grad


def test_feature_matching_is_zero_for_a_perfect_prediction_and_positive_else() -> None:
    batch, prediction, discriminator = _drawn()
    objective = _objective(feature_matching=10.0)
    perfect = Prediction((batch.image, *prediction.images[1:]), prediction.label_logits)
    drawn, exact = (
        objective.generator_terms(batch, each, discriminator)["feature_matching"] for each in (prediction, perfect)
    )
    assert float(exact.detach()) == 0
    assert float(drawn.detach()) > 0.01


def test_unlabelled_images_train_the_filling_alone() -> None:
    batch, prediction, discriminator = _drawn()
    unlabelled = InpaintingBatch(batch.image, batch.hole_mask, torch.full_like(batch.label, 255))
    terms = _objective().generator_terms(unlabelled, prediction, discriminator)
    assert float(terms["segmentation"].detach()) == 0
    assert float(terms["reconstruction"].detach()) > 0
