"""GatedConv: its published sizes, its two stages, its losses by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from small import small_batch
from torch import Tensor

from sgenet.batch import InpaintingBatch, Prediction
from sgenet.layers.discriminator import DiscriminatorOutput
from sgenet.layers.gated import GatedConv, GatedLayer
from sgenet.methods.gated_conv.network import GatedConvGenerator, SNPatchDiscriminator
from sgenet.methods.gated_conv.objective import GatedConvObjective
from sgenet.methods.gated_conv.settings import GatedConvSettings


def test_one_half_of_a_convolution_gates_the_other() -> None:
    layer = GatedConv(2, GatedLayer(6, stride=2, dilation=2))
    x = torch.randn(1, 2, 9, 9)
    both = F.conv2d(x, layer.convolution.weight, layer.convolution.bias, stride=2, padding=2, dilation=2)
    assert torch.allclose(layer(x), F.elu(both[:, :3]) * torch.sigmoid(both[:, 3:]))
    assert layer(x).shape == (1, 3, 5, 5)


def test_at_first_the_whole_generator_passes_signal_and_gradient() -> None:
    """At the published width: what comes out of every layer varies, and every layer's weights get a gradient."""
    torch.manual_seed(0)
    generator, batch = GatedConvGenerator(GatedConvSettings().width), small_batch(side=64)
    spreads: list[float] = []
    layers = [module for module in generator.modules() if isinstance(module, GatedConv)]
    for layer in layers:
        layer.register_forward_hook(lambda _, inputs, output: spreads.append(float(output.detach().std())))
    prediction = generator(batch.image, batch.hole_mask)
    assert len(spreads) == len(layers) == 40
    assert all(0.01 < spread < 2 for spread in spreads)
    drawn = (prediction.image, prediction.auxiliary["coarse"])
    assert all(0.01 < float(image.detach().std()) < 0.9 for image in drawn)  # neither grey nor black and white
    torch.stack([(image - batch.image).abs().mean() for image in drawn]).sum().backward()
    weights = [layer.convolution.weight for layer in layers]
    steps = [float(weight.grad.norm() / weight.detach().norm()) for weight in weights if weight.grad is not None]
    assert len(steps) == len(layers)
    assert max(steps) < 100 * min(steps)


def test_the_second_stage_sees_the_coarse_image_in_the_hole_and_the_given_one_outside() -> None:
    generator, batch = GatedConvGenerator(4), small_batch()
    seen: list[Tensor] = []
    for branch in (generator.convolution_branch, generator.before_attention):
        branch.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    prediction = generator(batch.image, batch.hole_mask)
    expected = torch.where(batch.hole_mask > 0.5, prediction.auxiliary["coarse"], batch.image)
    assert len(seen) == 2
    assert all(torch.equal(one, expected) for one in seen)


def test_attention_knows_the_hole_at_its_own_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    """A feature is missing when anything of the image under it is."""
    given: list[Tensor] = []

    def remember(features: Tensor, hole_mask: Tensor) -> Tensor:
        given.append(hole_mask)
        return features

    monkeypatch.setattr("sgenet.methods.gated_conv.network.contextual_attention", remember)
    hole_mask = torch.zeros(1, 1, 16, 16)
    hole_mask[0, 0, 5, 11] = 1
    GatedConvGenerator(4)(torch.zeros(1, 3, 16, 16), hole_mask)
    expected = torch.zeros(1, 1, 4, 4)
    expected[0, 0, 1, 2] = 1
    assert torch.equal(given[0], expected)


def test_the_discriminator_halves_an_image_six_times_and_judges_every_feature() -> None:
    output = SNPatchDiscriminator(2)(torch.randn(3, 4, 96, 64))
    assert output.logits[0].shape == (3, 8, 2, 1)
    assert [feature.shape[1] for feature in output.features] == [2, 4, 8, 8, 8]


class _Mean:
    """A discriminator whose only verdict is the mean of what it is given; it remembers it."""

    def __init__(self) -> None:
        self.judged: list[Tensor] = []

    def __call__(self, judged: Tensor) -> DiscriminatorOutput:
        self.judged.append(judged)
        return DiscriminatorOutput((judged.mean(dim=(1, 2, 3)).view(-1, 1, 1, 1),), ())


def _constant() -> tuple[InpaintingBatch, Prediction]:
    """An image of 0.5 whose left half is missing; drawn as 0 at first, then as 1."""
    hole_mask = torch.zeros(1, 1, 8, 8)
    hole_mask[..., :4] = 1
    batch = InpaintingBatch(torch.full((1, 3, 8, 8), 0.5), hole_mask, torch.zeros(1, 8, 8, dtype=torch.int64))
    drawn = torch.ones(1, 3, 8, 8, requires_grad=True)
    return batch, Prediction((drawn,), auxiliary={"coarse": torch.full((1, 3, 8, 8), 0.25)})


def test_the_generator_s_terms_by_hand() -> None:
    batch, prediction = _constant()
    discriminator = _Mean()
    objective = GatedConvObjective(GatedConvSettings(reconstruction=2.0, adversarial=3.0))
    terms = objective.generator_terms(batch, prediction, discriminator)
    # Filled: 1 on the left, 0.5 on the right, three times; the mask: 1 and 0.
    mean = (3 * 0.75 + 0.5) / 4
    assert {name: float(term.detach()) for name, term in terms.items()} == pytest.approx(
        {"reconstruction": 2 * (0.25 + 0.5), "adversarial": -3 * mean}
    )


def test_the_discriminator_s_term_by_hand_in_one_forward() -> None:
    batch, prediction = _constant()
    discriminator = _Mean()
    terms = GatedConvObjective(GatedConvSettings()).discriminator_terms(batch, prediction, discriminator)
    real, fake = (3 * 0.5 + 0.5) / 4, (3 * 0.75 + 0.5) / 4
    assert float(terms["discriminator"]) == pytest.approx((1 - real) + (1 + fake))
    assert len(discriminator.judged) == 1
    assert not discriminator.judged[0].requires_grad
    assert torch.equal(discriminator.judged[0][:, 3:], batch.hole_mask.repeat(2, 1, 1, 1))


def test_without_adversarial_term_there_is_none() -> None:
    batch, prediction = _constant()
    objective = GatedConvObjective(GatedConvSettings(adversarial=0.0))
    assert not objective.trains_discriminator
    assert objective.generator_terms(batch, prediction, _Mean()).keys() == {"reconstruction"}
