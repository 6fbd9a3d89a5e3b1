"""EdgeConnect: its published sizes, its edges, its two stages apart, its losses by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.feature import canny
from small import NUM_CLASSES, small_batch
from torch import Tensor, nn
from torchvision.models import vgg19

from sgenet.batch import InpaintingBatch, Prediction
from sgenet.layers.discriminator import DiscriminatorOutput
from sgenet.losses.perceptual import gram_matrix, style_loss
from sgenet.losses.vgg import VGG
from sgenet.methods.build import build_method
from sgenet.methods.edge_connect.edges import canny_edges, to_gray
from sgenet.methods.edge_connect.network import EdgeConnectDiscriminator, EdgeConnectGenerator
from sgenet.methods.edge_connect.objective import EdgeConnectObjective
from sgenet.methods.edge_connect.settings import EdgeConnectSettings
from sgenet.methods.recipe import Recipe
from sgenet.settings import TrainingSettings
from sgenet.training.state import TrainingState
from sgenet.training.step import training_step


def _settings(**changes: object) -> EdgeConnectSettings:
    small = {"width": 4, "num_blocks": 1, "discriminator_width": 4, "perceptual": 0.0, "style": 0.0}
    return EdgeConnectSettings(**{**small, **changes})  # type: ignore[arg-type]


def _inputs(batch: InpaintingBatch) -> tuple[Tensor, Tensor]:
    return batch.image, batch.hole_mask


def _step() -> Tensor:
    """An image (1, 1, 48, 48), dark on the left and bright on the right of column 24."""
    gray = torch.full((1, 1, 48, 48), -0.8)
    gray[..., 24:] = 0.8
    return gray


def test_gray_is_luminance_and_keeps_the_range() -> None:
    colours = torch.tensor([[1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [1.0, 1.0, 1.0]]).view(3, 3, 1, 1)
    assert to_gray(colours).flatten().tolist() == pytest.approx([2 * 0.2125 - 1, 2 * 0.7154 - 1, 1.0])


def test_edges_of_whole_images_are_scikit_image_s() -> None:
    gray = torch.rand(2, 1, 40, 32, generator=torch.Generator().manual_seed(2)).mul(2).sub(1)
    found = canny_edges(gray, sigma=1.0)
    for one, image in zip(found, gray, strict=True):
        assert np.array_equal(one[0].numpy(), canny((image[0].numpy() + 1) / 2, sigma=1.0))
    assert 0 < float(found.mean()) < 0.5


def test_a_hole_hides_edges_and_is_none_itself() -> None:
    """No edge in it or beside it; beyond the reach of the smoothing (4 σ) and of the gradient, all as without it."""
    hole_mask = torch.zeros(1, 1, 48, 48)
    hole_mask[..., 20:28, 20:28] = 1
    gray = _step()
    whole, known = canny_edges(gray, 2.0), canny_edges(torch.where(hole_mask > 0.5, 0.0, gray), 2.0, hole_mask)
    beside, far = (F.max_pool2d(hole_mask, 2 * reach + 1, stride=1, padding=reach) for reach in (1, 10))
    assert bool(whole[beside > 0.5].any())
    assert not bool(known[beside > 0.5].any())
    assert bool(whole[far < 0.5].any())
    assert torch.equal(known[far < 0.5], whole[far < 0.5])


def test_the_image_stage_is_guided_by_drawn_edges_in_the_hole_and_true_ones_outside() -> None:
    generator, batch = EdgeConnectGenerator(_settings(sigma=1.0)), small_batch()
    seen: list[Tensor] = []
    generator.image_stage.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    prediction = generator(*_inputs(batch))
    known = canny_edges(to_gray(batch.image), 1.0, batch.hole_mask)
    guide = torch.where(batch.hole_mask > 0.5, prediction.auxiliary["edges"], known)
    assert bool(known.any())
    white = torch.where(batch.hole_mask > 0.5, 1.0, batch.image)
    assert torch.equal(seen[0], torch.cat((white, guide), dim=1))
    assert not seen[0].requires_grad


def test_the_image_stage_learns_along_true_edges_first_and_then_along_drawn_ones() -> None:
    recipe = Recipe(
        edge_connect=_settings(sigma=1.0, true_edges_until=0.5),
        training=TrainingSettings(steps=4, batch_size=2, precision="float32"),
    )
    state = TrainingState(build_method("edge_connect", recipe, NUM_CLASSES), recipe)
    seen: list[Tensor] = []
    generator = state.method.generator
    assert isinstance(generator, EdgeConnectGenerator)
    generator.image_stage.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    batch = small_batch()
    for _ in range(4):
        training_step(state, batch)
    true, hole = canny_edges(to_gray(batch.image), 1.0), batch.hole_mask > 0.5
    assert bool(true[hole].any())
    along_true = [torch.equal(inputs[:, 3:][hole], true[hole]) for inputs in seen]
    assert along_true == [True, True, False, False]


def test_vgg_sees_what_the_published_one_sees(vgg: VGG) -> None:
    """Images in [0, 1] that nothing was taken from; for the style, black outside the hole."""
    objective, batch = EdgeConnectObjective(_settings()), small_batch()
    objective.settings = _settings(perceptual=0.1, style=1.0, perceptual_weights="random")
    seen: list[Tensor] = []
    hook = vgg.features[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    objective._vgg_terms(vgg, batch, batch.image)
    hook.remove()
    shown = (batch.image + 1) / 2
    for found, expected in zip(seen, (shown, shown, shown * batch.hole_mask, shown * batch.hole_mask), strict=True):
        assert torch.allclose(found, expected, atol=1e-6)


def _moves(weight: nn.Parameter) -> bool:
    return weight.grad is not None and bool(weight.grad.any())


def test_each_term_trains_its_own_stage_and_no_other() -> None:
    settings = _settings(perceptual=0.1, style=10.0, perceptual_weights="random")
    generator, discriminator, batch = EdgeConnectGenerator(settings), EdgeConnectDiscriminator(4), small_batch()
    objective = EdgeConnectObjective(settings)
    stages = {"edge": generator.edge_stage, "image": generator.image_stage}
    terms = objective.generator_terms(batch, generator(*_inputs(batch)), discriminator)
    assert len(terms) == 6
    for name, term in terms.items():
        generator.zero_grad(set_to_none=True)
        term.backward(retain_graph=True)
        trained = {key for key, stage in stages.items() if any(_moves(weight) for weight in stage.parameters())}
        assert trained == {"edge" if name.startswith("edge_") else "image"}, name


def _constant() -> tuple[InpaintingBatch, Prediction]:
    """An image of 0.5 with a quarter missing, drawn as -0.5; edges drawn as 0.25 everywhere."""
    hole_mask = torch.zeros(1, 1, 16, 16)
    hole_mask[..., :8, :8] = 1
    batch = InpaintingBatch(torch.full((1, 3, 16, 16), 0.5), hole_mask, torch.zeros(1, 16, 16, dtype=torch.int64))
    edges = torch.full((1, 1, 16, 16), 0.25, requires_grad=True)
    return batch, Prediction((torch.full((1, 3, 16, 16), -0.5, requires_grad=True),), auxiliary={"edges": edges})


class _Means:
    """Discriminators whose verdicts are the means of the edges and of the image; features: the edges at two scales."""

    def __init__(self) -> None:
        self.num_calls = 0

    def __call__(self, judged: Tensor) -> DiscriminatorOutput:
        self.num_calls += 1
        edges = judged[:, 1:2].mean(dim=(1, 2, 3)).view(-1, 1, 1, 1)
        image = judged[:, 2:].mean(dim=(1, 2, 3)).view(-1, 1, 1, 1)
        return DiscriminatorOutput((edges, image), (judged[:, 1:2], 3 * edges))


def _softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_the_generator_s_terms_by_hand() -> None:
    """A plain image has no edges, so true edges are 0."""
    batch, prediction = _constant()
    objective = EdgeConnectObjective(_settings(edge_feature_matching=10.0, adversarial=0.1))
    terms = objective.generator_terms(batch, prediction, _Means())
    assert {name: float(term.detach()) for name, term in terms.items()} == pytest.approx(
        {
            "edge_adversarial": _softplus(-0.25),
            "edge_feature_matching": 10 * (0.25 + 3 * 0.25),
            "reconstruction": 0.5 / 0.25,
            "adversarial": 0.1 * _softplus(0.5),
        },
        rel=1e-5,
    )


def test_the_discriminators_terms_by_hand_in_one_forward() -> None:
    batch, prediction = _constant()
    discriminator = _Means()
    terms = EdgeConnectObjective(_settings()).discriminator_terms(batch, prediction, discriminator)
    assert {name: float(term) for name, term in terms.items()} == pytest.approx(
        {
            "edge_discriminator": _softplus(-0.0) + _softplus(0.25),
            "discriminator": _softplus(-0.5) + _softplus(-0.5),
        },
        rel=1e-5,
    )
    assert discriminator.num_calls == 1
    assert not any(term.requires_grad for term in terms.values())


def test_each_batch_has_its_own_true_edges() -> None:
    objective, discriminator = EdgeConnectObjective(_settings(sigma=1.0)), _Means()
    for number in range(2):
        batch = small_batch(number)
        prediction = Prediction((batch.image,), auxiliary={"edges": canny_edges(to_gray(batch.image), 1.0)})
        objective.discriminator_terms(batch, prediction, discriminator)
        assert float(objective.generator_terms(batch, prediction, discriminator)["edge_feature_matching"]) == 0


def test_the_gram_matrix_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])
    assert torch.allclose(gram_matrix(features), torch.tensor([[[5.0, 1.0], [1.0, 10.0]]]) / 4)
    assert float(style_loss([features, features], [2 * features, features])) == pytest.approx(3 * (5 + 1 + 1 + 10) / 16)


@pytest.fixture(scope="module")
def vgg() -> VGG:
    return VGG(19, "relu5_2", "random", "edge_connect.perceptual_weights")


def test_vgg_19_is_laid_out_as_torchvision_s(vgg: VGG) -> None:
    with torch.device("meta"):
        theirs = {f"features.{key}": value for key, value in vgg19(weights=None).features.state_dict().items()}
    assert {key: value.shape for key, value in vgg.state_dict().items()} == {
        key: value.shape for key, value in theirs.items() if int(key.split(".")[1]) <= 30
    }
    names = ("relu1_1", "relu2_1", "relu2_2", "relu3_1", "relu3_4", "relu4_1", "relu4_4", "relu5_1", "relu5_2")
    assert [vgg.positions[name] for name in names] == [1, 6, 8, 11, 17, 20, 26, 29, 31]
