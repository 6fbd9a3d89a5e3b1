"""SPG-Net: its layer tables, what each network sees, who learns from what, its losses by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from small import NUM_CLASSES, small_batch
from torch import Tensor, nn

from sgenet.batch import InpaintingBatch, Prediction
from sgenet.layers.discriminator import DiscriminatorOutput
from sgenet.losses.vgg import VGG
from sgenet.methods.build import build_method
from sgenet.methods.recipe import Recipe
from sgenet.methods.spg_net.network import (
    SPGNetDiscriminator,
    SPGNetGenerator,
    SPGNetStage,
    one_hot,
)
from sgenet.methods.spg_net.objective import SPGNetObjective, weighted_perceptual
from sgenet.methods.spg_net.settings import SPGNetSettings
from sgenet.settings import DiscriminatorSettings

DISCRIMINATOR = DiscriminatorSettings(width=4, num_layers=1, num_scales=2)


def _settings(**changes: Any) -> SPGNetSettings:
    small = {"width": 4, "num_blocks": 1, "segmenter_width": 4, "discriminator": DISCRIMINATOR, "perceptual": 0.0}
    return SPGNetSettings(**{**small, **changes})


def _generator(**changes: Any) -> SPGNetGenerator:
    torch.manual_seed(3)
    return SPGNetGenerator(NUM_CLASSES, _settings(**changes))


def test_a_plain_label_map_is_not_forgotten() -> None:
    """What a normalisation of each channel alone would do: the same features whichever class fills the image."""
    stage = SPGNetStage(NUM_CLASSES, 3, 16, 1)
    sky, water = (one_hot(torch.full((1, 32, 32), index, dtype=torch.int64), NUM_CLASSES) for index in range(2))
    assert not torch.allclose(stage(sky), stage(water), atol=1e-3)


def test_one_hot_has_nothing_where_there_is_no_class() -> None:
    label = torch.tensor([[[2, 0, 255, 7]]])
    assert one_hot(label, 3)[0, :, 0].T.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0]]


def _inputs_of(module: nn.Module) -> list[Tensor]:
    seen: list[Tensor] = []
    module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    return seen


def test_the_label_stage_starts_from_the_given_labels_with_their_hole_cut_out() -> None:
    generator, batch = _generator(), small_batch()
    seen = _inputs_of(generator.label_stage)
    prediction = generator(batch.image, batch.hole_mask, batch.label)
    assert torch.equal(seen[0][:, :3], batch.corrupted)
    given = torch.where(batch.hole_mask > 0.5, 0.0, one_hot(batch.label, NUM_CLASSES))
    labelled = (batch.label != 255)[:, None].expand_as(given)
    assert torch.equal(seen[0][:, 3:][labelled], given[labelled])
    # Where there is no label, what the segmenter says; and no class in the hole.
    own = one_hot(prediction.auxiliary["input_label_logits"].argmax(dim=1), NUM_CLASSES)
    unlabelled = ~labelled & (batch.hole_mask <= 0.5)
    assert bool(unlabelled.any())
    assert torch.equal(seen[0][:, 3:][unlabelled], own[unlabelled])
    assert not seen[0].requires_grad


def test_without_labels_the_segmenter_decides_as_if_it_had_been_given() -> None:
    generator, batch = _generator(), small_batch()
    seen = _inputs_of(generator.label_stage)
    with torch.no_grad():
        alone = generator(batch.image, batch.hole_mask)
        own = alone.auxiliary["input_label_logits"].argmax(dim=1)
        unknown = torch.full_like(own, 255)
        given, silent = (generator(batch.image, batch.hole_mask, label) for label in (own, unknown))
    assert torch.equal(seen[0], seen[1])
    for other in (given, silent):
        assert torch.equal(alone.image, other.image)
        assert torch.equal(alone.label_logits[0], other.label_logits[0])
    assert bool((seen[0][:, 3:].sum(dim=1, keepdim=True) == 1 - batch.hole_mask).all())


def test_a_label_map_of_another_size_is_refused() -> None:
    batch = small_batch()
    with pytest.raises(ValueError, match="known_label must have the shape"):
        _generator()(batch.image, batch.hole_mask, batch.label[:, 1:])


def test_the_image_stage_is_guided_by_the_completed_label_map() -> None:
    generator, batch = _generator(), small_batch()
    seen = _inputs_of(generator.image_stage)
    prediction = generator(batch.image, batch.hole_mask, batch.label)
    expected = torch.cat((batch.corrupted, prediction.label_logits[0].softmax(dim=1)), dim=1)
    assert torch.equal(seen[0], expected.detach())
    assert not seen[0].requires_grad


def _moves(weight: nn.Parameter) -> bool:
    return weight.grad is not None and bool(weight.grad.any())


def test_each_term_trains_its_own_network_wholly_and_no_other() -> None:
    settings = _settings(perceptual=10.0, perceptual_weights="random", segmentation=1.0, reconstruction=1.0)
    torch.manual_seed(3)
    generator, discriminator, batch = (
        SPGNetGenerator(NUM_CLASSES, settings),
        SPGNetDiscriminator(NUM_CLASSES, DISCRIMINATOR),
        small_batch(),
    )
    networks = {
        "segmenter": generator.segmenter,
        "label": generator.label_stage,
        "image": generator.image_stage,
    }
    teaches = {
        "label_adversarial": "label",
        "label_feature_matching": "label",
        "segmentation": "label",
        "input_segmentation": "segmenter",
        "adversarial": "image",
        "feature_matching": "image",
        "perceptual": "image",
        "reconstruction": "image",
    }
    terms = SPGNetObjective(settings).generator_terms(
        batch, generator(batch.image, batch.hole_mask, batch.label), discriminator
    )
    assert terms.keys() == teaches.keys()
    for name, term in terms.items():
        generator.zero_grad(set_to_none=True)
        term.backward(retain_graph=True)
        moved = {key: [_moves(weight) for weight in net.parameters()] for key, net in networks.items()}
        assert {key for key, each in moved.items() if any(each)} == {teaches[name]}, name
        assert all(moved[teaches[name]]), name


def test_in_training_the_method_is_taught_with_labels() -> None:
    recipe = Recipe(spg_net=_settings())
    method, batch = build_method("spg_net", recipe, NUM_CLASSES), small_batch()
    assert method.prepare(batch, torch.empty(2, 0), 0.0).inputs[2] is batch.label


class _Means:
    """Discriminators of one scale whose verdicts are means; features: two multiples of what is judged."""

    def __init__(self) -> None:
        self.judged: list[Tensor] = []

    def __call__(self, judged: Tensor) -> DiscriminatorOutput:
        self.judged.append(judged)
        label, image = judged[:, 3:-3], judged[:, -3:]
        verdicts = tuple(part.mean(dim=(1, 2, 3)).view(-1, 1, 1, 1) for part in (label, image))
        return DiscriminatorOutput(verdicts, (label, 2 * label, image, 3 * image))


def _constant() -> tuple[InpaintingBatch, Prediction]:
    """16 × 16 pixels of 0.5, a quarter missing, class 1 but for a last row to ignore; drawn as -0.25.

    The label map is predicted as 0.25, 0.25, 0.5 everywhere; the segmenter gives the classes 0.5, 0.25, 0.25.
    """
    hole_mask = torch.zeros(1, 1, 16, 16)
    hole_mask[..., :8, :8] = 1
    label = torch.ones(1, 16, 16, dtype=torch.int64)
    label[:, -1] = 255
    batch = InpaintingBatch(torch.full((1, 3, 16, 16), 0.5), hole_mask, label)

    def logits(*probabilities: float) -> Tensor:
        values = torch.tensor(probabilities).log().view(1, 3, 1, 1).expand(1, 3, 16, 16)
        return values.clone().requires_grad_()

    image = torch.full((1, 3, 16, 16), -0.25, requires_grad=True)
    auxiliary = {"input_label_logits": logits(0.5, 0.25, 0.25)}
    return batch, Prediction((image,), (logits(0.25, 0.25, 0.5),), auxiliary=auxiliary)


LABELLED = 15 / 16
"""Share of the pixels that count."""

LN4 = 1.3862944


def test_the_generator_s_terms_by_hand() -> None:
    batch, prediction = _constant()
    settings = _settings(
        label_adversarial=2.0,
        label_feature_matching=3.0,
        segmentation=5.0,
        adversarial=0.5,
        feature_matching=7.0,
        reconstruction=11.0,
    )
    terms = SPGNetObjective(settings).generator_terms(batch, prediction, _Means())
    # Of three channels, one is 1 in truth and 0.25 predicted, the others 0 against 0.25 and 0.5.
    label_l1 = LABELLED * (0.75 + 0.25 + 0.5) / 3
    assert {name: float(term.detach()) for name, term in terms.items()} == pytest.approx(
        {
            "label_adversarial": -2 * LABELLED / 3,
            "label_feature_matching": 3 * (1 + 2) * label_l1,
            "segmentation": 5 * LN4,
            "input_segmentation": LN4,
            "adversarial": -0.5 * -0.25,
            "feature_matching": 7 * (1 + 3) * 0.75,
            "reconstruction": 11 * 0.75,
        },
        rel=1e-5,
    )


def test_the_discriminators_terms_by_hand_in_one_forward() -> None:
    batch, prediction = _constant()
    discriminator = _Means()
    terms = SPGNetObjective(_settings()).discriminator_terms(batch, prediction, discriminator)
    assert {name: float(term) for name, term in terms.items()} == pytest.approx(
        {
            "label_discriminator": (1 - LABELLED / 3) + (1 + LABELLED / 3),
            "discriminator": (1 - 0.5) + (1 - 0.25),
        },
        rel=1e-5,
    )
    assert len(discriminator.judged) == 1
    assert torch.equal(discriminator.judged[0][:, :3], batch.corrupted.repeat(2, 1, 1, 1))
    assert not discriminator.judged[0].requires_grad


def test_the_segmenter_is_taught_by_known_labelled_pixels_alone() -> None:
    batch, prediction = _constant()
    loss = SPGNetObjective(_settings()).generator_terms(batch, prediction, _Means())["input_segmentation"]
    (gradient,) = torch.autograd.grad(loss, prediction.auxiliary["input_label_logits"])
    touched = gradient.abs().sum(dim=1)[0] > 0
    assert torch.equal(touched, (batch.hole_mask[0, 0] < 0.5) & (batch.label[0] != 255))


def test_without_any_label_nothing_is_told_of_label_maps() -> None:
    batch, prediction = _constant()
    unlabelled = dataclasses.replace(batch, label=torch.full_like(batch.label, 255))
    terms = SPGNetObjective(_settings(segmentation=1.0)).generator_terms(unlabelled, prediction, _Means())
    of_labels = ("label_adversarial", "label_feature_matching", "segmentation", "input_segmentation")
    torch.stack([terms[name] for name in of_labels]).sum().backward()
    for logits in (prediction.label_logits[0], prediction.auxiliary["input_label_logits"]):
        assert logits.grad is not None
        assert not bool(logits.grad.any())


def test_the_perceptual_term_weighs_the_activations_as_pix2pixhd() -> None:
    vgg = VGG(19, "relu5_1", "random", "spg_net.perceptual_weights")
    rng = torch.Generator().manual_seed(1)
    target, predicted = (torch.rand(1, 3, 32, 32, generator=rng) * 2 - 1 for _ in range(2))
    expected = 0.0
    for name, weight in (("relu1_1", 32), ("relu2_1", 16), ("relu3_1", 8), ("relu4_1", 4), ("relu5_1", 1)):
        (one,), (other,) = (vgg.activations(image, (name,)) for image in (target, predicted))
        expected += float((one - other).abs().mean()) / weight
    assert float(weighted_perceptual(vgg, target, predicted)) == pytest.approx(expected, rel=1e-5)
    assert float(weighted_perceptual(vgg, target, target)) == 0
