"""LaMa against its published numbers, and its terms by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from small import small_batch
from torch import Tensor

from sgenet.batch import Prediction
from sgenet.layers.discriminator import DiscriminatorOutput
from sgenet.methods.lama.network import LamaDiscriminator
from sgenet.methods.lama.objective import LamaObjective
from sgenet.methods.lama.settings import LamaSettings

SMALL = LamaSettings(width=4, num_blocks=1, discriminator_width=4, perceptual=0.0)


def test_l1_counts_known_pixels_alone_in_a_range_of_1() -> None:
    batch, settings = small_batch(), replace(SMALL, adversarial=0.0, feature_matching=0.0)
    objective = LamaObjective(settings)
    assert not objective.trains_discriminator
    wrong_in_the_hole = Prediction((torch.where(batch.hole_mask > 0.5, -batch.image, batch.image),))
    terms = objective.generator_terms(batch, wrong_in_the_hole, LamaDiscriminator(4))
    assert {name: float(term) for name, term in terms.items()} == {"reconstruction": 0.0}
    wrong_elsewhere = Prediction((batch.image + 0.2 * (1 - batch.hole_mask),))
    known = float((1 - batch.hole_mask).mean())
    found = objective.generator_terms(batch, wrong_elsewhere, LamaDiscriminator(4))["reconstruction"]
    assert float(found) == pytest.approx(10 * 0.1 * known, rel=1e-4)


def test_patches_outside_the_hole_count_as_real_for_the_discriminator() -> None:
    def verdicts(image: Tensor) -> DiscriminatorOutput:
        return DiscriminatorOutput((image.mean(dim=1, keepdim=True),), ())

    batch = small_batch()
    prediction = Prediction((torch.zeros_like(batch.image),))
    terms = LamaObjective(replace(SMALL, r1=0.0)).discriminator_terms(batch, prediction, verdicts)
    real = (batch.image * 0.5 + 0.5).mean(dim=1, keepdim=True)
    missing = float(batch.hole_mask.mean())
    half = torch.tensor(0.5)
    expected = F.softplus(-real).mean() + missing * F.softplus(half) + (1 - missing) * F.softplus(-half)
    assert float(terms["discriminator"]) == pytest.approx(float(expected), rel=1e-5)


def test_r1_is_the_squared_gradient_on_real_images_in_a_range_of_1() -> None:
    def verdicts(image: Tensor) -> DiscriminatorOutput:
        return DiscriminatorOutput((3 * image.mean(dim=1, keepdim=True),), ())

    batch = small_batch()
    terms = LamaObjective(SMALL).discriminator_terms(batch, Prediction((batch.image,)), verdicts)
    # Each of a pixel's three values moves its verdict by 1.
    assert float(terms["discriminator_r1"]) == pytest.approx(0.001 * batch.image[0].numel(), rel=1e-4)
