"""Eq. 7 to 10: every term against loops or numbers worked by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import vgg16

from sgenet.errors import CheckpointError
from sgenet.losses.adversarial import (
    Kind,
    discriminator_loss,
    feature_matching_loss,
    generator_loss,
    r1_penalty,
)
from sgenet.losses.perceptual import VGG16Features, multi_scale_perceptual, perceptual_loss
from sgenet.losses.reconstruction import l1_loss, multi_scale_l1, psnr_loss
from sgenet.losses.reduction import mean_count
from sgenet.losses.segmentation import balanced_weights, multi_scale_segmentation, segmentation_loss

IGNORED = 255


def _random(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def _hole() -> Tensor:
    hole_mask = torch.zeros(2, 1, 8, 8)
    hole_mask[0, 0, 2:5, 1:7] = 1
    hole_mask[1, 0, 6:, 6:] = 1
    return hole_mask


def _bigger(x: Tensor) -> Tensor:
    return F.interpolate(x, size=(8, 8), mode="bilinear", align_corners=False)


@pytest.mark.parametrize("hole_weight", [0.0, 3.0])
@pytest.mark.parametrize("side", [8, 4, 1])
def test_l1_by_loops(hole_weight: float, side: int) -> None:
    target, predicted, hole_mask = _random(2, 3, 8, 8), _random(2, 3, side, side, seed=1), _hole()
    drawn, total = _bigger(predicted), 0.0
    for b in range(2):
        for y in range(8):
            for x in range(8):
                weight = 1 + hole_weight if hole_mask[b, 0, y, x] else 1
                total += sum(weight * abs(float(target[b, c, y, x] - drawn[b, c, y, x])) for c in range(3))
    found = l1_loss(target, predicted, hole_mask, hole_weight)
    assert float(found) == pytest.approx(total / (2 * 3 * 8 * 8), rel=1e-5)


def test_the_multi_scale_l1_adds_up_the_scales() -> None:
    target, hole_mask = _random(2, 3, 8, 8), _hole()
    images = [_random(2, 3, side, side, seed=side) for side in (8, 4, 2)]
    parts = [float(l1_loss(target, image, hole_mask, 2.0)) for image in images]
    assert float(multi_scale_l1(target, images, hole_mask, 2.0)) == pytest.approx(sum(parts), rel=1e-6)


@pytest.mark.parametrize("hole_weight", [0.0, 2.0])
def test_cross_entropy_by_loops_over_the_pixels_that_count(hole_weight: float) -> None:
    logits, hole_mask = _random(2, 3, 4, 4) * 5, _hole()
    label = torch.randint(3, (2, 8, 8), generator=torch.Generator().manual_seed(2))
    label[0, 3] = IGNORED  # partly in the hole
    full, total, count = _bigger(logits), 0.0, 0.0
    for b in range(2):
        for y in range(8):
            for x in range(8):
                if label[b, y, x] == IGNORED:
                    continue
                weight = 1 + hole_weight if hole_mask[b, 0, y, x] else 1.0
                scores = [float(full[b, k, y, x]) for k in range(3)]
                probability = math.exp(scores[int(label[b, y, x])]) / sum(math.exp(score) for score in scores)
                total -= weight * math.log(probability)
                count += weight
    found = multi_scale_segmentation(label, [logits], hole_mask, hole_weight)
    assert float(found) == pytest.approx(total / count, rel=1e-5)


def test_an_unlabelled_image_alone_gives_zero_and_a_gradient_of_zero() -> None:
    logits = _random(1, 3, 4, 4).requires_grad_()
    loss = segmentation_loss(torch.full((1, 8, 8), IGNORED), logits)
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros(1, 3, 4, 4))


def test_the_multi_scale_cross_entropy_adds_up_the_scales() -> None:
    label = torch.randint(3, (2, 8, 8), generator=torch.Generator().manual_seed(4))
    scales = [_random(2, 3, side, side, seed=side) for side in (8, 4, 2)]
    parts = [float(segmentation_loss(label, logits)) for logits in scales]
    assert float(multi_scale_segmentation(label, scales)) == pytest.approx(sum(parts), rel=1e-6)


REAL = [torch.tensor([[2.0, -1.0]]), torch.tensor([[0.0]])]
FAKE = [torch.tensor([[-3.0, 0.5]]), torch.tensor([[1.0]])]


def _log_sigmoid(logit: float) -> float:
    return math.log(1 / (1 + math.exp(-logit)))


DISCRIMINATOR_BY_HAND = {
    "bce": -(_log_sigmoid(2) + _log_sigmoid(-1)) / 2
    - (_log_sigmoid(3) + _log_sigmoid(-0.5)) / 2
    - _log_sigmoid(0)
    - _log_sigmoid(-1),
    "hinge": (0 + 2) / 2 + (0 + 1.5) / 2 + 1 + 2,
    "lsgan": (1 + 4) / 2 + (9 + 0.25) / 2 + 1 + 1,
}
GENERATOR_BY_HAND = {
    "bce": -(_log_sigmoid(-3) + _log_sigmoid(0.5)) / 2 - _log_sigmoid(1),
    "hinge": -(-3 + 0.5) / 2 - 1,
    "lsgan": (16 + 0.25) / 2 + 0,
}


def test_rare_classes_count_more_and_an_average_pixel_1() -> None:
    """Of eight labelled pixels, six are of class 0 and two of class 2; class 1 has none."""
    label = torch.tensor([[[0, 0, 0, 2], [0, 0, 0, 2], [IGNORED, IGNORED, IGNORED, IGNORED]]])
    alike = balanced_weights(label, 3, 0.0)
    assert torch.equal(alike, (label != IGNORED).float())
    whole = balanced_weights(label, 3, 1.0)
    # Each of the two classes has half of the weight.
    assert whole[0, 0].tolist() == pytest.approx([4 / 6] * 3 + [2.0])
    half = balanced_weights(label, 3, 0.5)
    assert float(half[0, 0, 3] / half[0, 0, 0]) == pytest.approx(3**0.5)
    for weights in (whole, half):
        assert float(weights.sum()) == pytest.approx(8)
        assert not weights[0, 2].any()
    assert not balanced_weights(torch.full((1, 2, 2), IGNORED), 3, 1.0).any()

    logits = torch.randn(1, 3, 3, 4, generator=torch.Generator().manual_seed(1))
    entropy = F.cross_entropy(logits, label, ignore_index=IGNORED, reduction="none")
    of_class = [float(entropy[label == class_id].mean()) for class_id in (0, 2)]
    found = float(multi_scale_segmentation(label, [logits], class_balance=1.0))
    assert found == pytest.approx(sum(of_class) / 2, rel=1e-5)


@pytest.mark.parametrize("kind", ["bce", "hinge", "lsgan"])
def test_the_adversarial_terms_by_hand(kind: Kind) -> None:
    assert float(discriminator_loss(kind, REAL, FAKE)) == pytest.approx(DISCRIMINATOR_BY_HAND[kind], rel=1e-6)
    assert float(generator_loss(kind, FAKE)) == pytest.approx(GENERATOR_BY_HAND[kind], rel=1e-6)


def test_binary_cross_entropy_stays_finite_for_an_overconfident_discriminator() -> None:
    assert float(discriminator_loss("bce", [torch.tensor([-500.0])], [torch.tensor([500.0])])) == pytest.approx(1000)


def test_r1_of_a_linear_discriminator_is_half_the_squared_length_of_its_weights() -> None:
    image = _random(3, 3, 4, 4).requires_grad_()
    weight = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(6), requires_grad=True)
    verdict = (image * weight).sum(dim=(1, 2, 3))
    penalty = r1_penalty(image, [0.75 * verdict, 0.25 * verdict])  # two scales whose sum is the discriminator
    assert float(penalty.detach()) == pytest.approx(0.5 * float(weight.detach().square().sum()), rel=1e-5)
    penalty.backward()
    assert weight.grad is not None
    assert torch.allclose(weight.grad, weight.detach(), atol=1e-5)


def test_feature_matching_averages_layers_and_leaves_the_real_side_alone() -> None:
    real = [torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([[5.0]], requires_grad=True)]
    fake = [torch.tensor([2.0, 0.0], requires_grad=True), torch.tensor([[1.0]], requires_grad=True)]
    loss = feature_matching_loss(real, fake)
    loss.backward()
    assert float(loss.detach()) == ((1 + 2) / 2 + 4) / 2
    assert all(feature.grad is None for feature in real)
    assert all(feature.grad is not None for feature in fake)


def test_counts_of_a_single_process_are_its_own_and_at_least_1() -> None:
    assert mean_count(torch.tensor([4, 0])).tolist() == [4, 1]


def test_the_average_over_two_ranks_is_the_mean_of_all_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    totals, counts = (6.0, 1.0), (torch.tensor(4.0), torch.tensor(12.0))
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.all_reduce", lambda tensor: tensor.fill_(sum(map(float, counts))))
    means = [total / float(mean_count(count)) for total, count in zip(totals, counts, strict=True)]
    assert sum(means) / 2 == pytest.approx((6 + 1) / (4 + 12))
    assert [float(count) for count in counts] == [4, 12], "the caller's counts are not his to change"


@pytest.fixture(scope="module")
def torchvision_features() -> nn.Module:
    """The convolutions of torchvision's VGG-16 with random weights; its classifier is never made."""
    with torch.device("meta"):
        features = vgg16(weights=None, init_weights=False).features
    features.to_empty(device="cpu")
    rng = torch.Generator().manual_seed(8)
    with torch.no_grad():
        for layer in features:
            if isinstance(layer, nn.Conv2d):
                layer.weight.normal_(0, (2 / layer.weight[0].numel()) ** 0.5, generator=rng)
                assert layer.bias is not None
                layer.bias.normal_(0, 0.1, generator=rng)
    return features.eval()


@pytest.fixture(scope="module")
def vgg(torchvision_features: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> VGG16Features:
    """Ours, from a state file as torchvision writes it."""
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    state = {f"features.{key}": value for key, value in torchvision_features.state_dict().items()}
    torch.save(state | {"classifier.0.bias": torch.zeros(3)}, path)
    loaded = VGG16Features(str(path))
    path.unlink()
    return loaded


def _torchvision_activations(features: nn.Module, image: Tensor) -> list[Tensor]:
    """relu2_2, relu3_3 and relu4_3 of images in [-1, 1]."""
    assert isinstance(features, nn.Sequential)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = ((image + 1) / 2 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    with torch.no_grad():
        return [features[:stop](x) for stop in (9, 16, 23)]


def test_the_psnr_loss_is_the_mean_over_images_of_what_the_metric_says_of_their_holes() -> None:
    target, hole = _random(2, 3, 8, 8), torch.zeros(2, 1, 8, 8)
    hole[0, :, :2, :3] = 1
    hole[1, :, 4:] = 1
    errors = torch.tensor([0.5, 0.1]).view(2, 1, 1, 1)
    predicted = target + errors * hole + 7 * (1 - hole)
    expected = sum(10 * math.log10(4 / error**2) for error in (0.5, 0.1)) / 2
    assert float(psnr_loss(target, predicted, hole)) == pytest.approx(-expected, abs=0.05)
    exact = psnr_loss(target, target.clone().requires_grad_(), hole)
    exact.backward()
    assert exact.item() == pytest.approx(-10 * math.log10(4 / 1e-4), abs=1e-3)
    assert bool(psnr_loss(target, predicted, torch.zeros_like(hole)).isfinite())


def test_the_perceptual_distance_by_hand(vgg: VGG16Features, torchvision_features: nn.Module) -> None:
    target, images = _random(1, 3, 16, 16), [_random(1, 3, side, side, seed=side) for side in (16, 8)]
    expected = 0.0
    for image in images:
        drawn = F.interpolate(image, size=(16, 16), mode="bilinear", align_corners=False)
        pairs = zip(
            _torchvision_activations(torchvision_features, target),
            _torchvision_activations(torchvision_features, drawn),
            strict=True,
        )
        expected += sum(float((one - other).abs().sum()) / one.numel() for one, other in pairs)
    assert float(multi_scale_perceptual(vgg, target, images, (0, 1))) == pytest.approx(expected, rel=1e-4)
    first = float(perceptual_loss(vgg(target), vgg(images[0])))
    assert float(multi_scale_perceptual(vgg, target, images, (0,))) == pytest.approx(first, rel=1e-5)


def test_the_perceptual_gradient_is_that_of_the_sum_over_the_scales(vgg: VGG16Features) -> None:
    target = _random(2, 3, 16, 16)
    ours, plain = ([_random(2, 3, side, side, seed=side).requires_grad_() for side in (16, 8)] for _ in range(2))
    ours_loss = multi_scale_perceptual(vgg, target, ours, (0, 1))
    (3 * ours_loss).backward()
    assert not any(parameter.requires_grad for parameter in vgg.parameters())
    activations = vgg(target)
    drawn = [F.interpolate(image, size=(16, 16), mode="bilinear", align_corners=False) for image in plain]
    (3 * torch.stack([perceptual_loss(activations, vgg(image)) for image in drawn]).sum()).backward()
    for one, other in zip(ours, plain, strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.allclose(one.grad, other.grad, rtol=1e-4, atol=1e-7)
    with torch.no_grad():
        assert multi_scale_perceptual(vgg, target, ours, (0, 1)) == pytest.approx(ours_loss.item(), rel=1e-5)


def test_random_weights_are_the_same_whatever_was_drawn_before() -> None:
    first = VGG16Features("random").state_dict()
    torch.manual_seed(99)
    assert all(torch.equal(value, first[key]) for key, value in VGG16Features("random").state_dict().items())


def test_a_file_that_is_no_vgg_is_refused_in_one_sentence(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "part.pth")
    (tmp_path / "text.pth").write_text("no weights")
    for name in ("part.pth", "text.pth", "absent.pth"):
        with pytest.raises(CheckpointError, match=name) as raised:
            VGG16Features(str(tmp_path / name))
        assert str(raised.value).startswith("losses.perceptual_weights: ")
