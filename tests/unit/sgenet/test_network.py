"""The whole generator: what it sees, what it gives, and how large it is."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from every_dataset import settings_of_every_dataset
from small import METHODS, NUM_CLASSES, SIDE, small_batch, small_network, small_recipe

from pipelines.settings.params import Settings
from sgenet.methods.build import build_generator, count_parameters
from sgenet.methods.sge_net.context import ChannelwiseFullyConnected, build_context
from sgenet.methods.sge_net.network import SGEGenerator, guide_logits
from sgenet.settings import NetworkSettings


def _generator(name: str = "sge_net", **network: object) -> torch.nn.Module:
    return build_generator(name, small_recipe(network=network), NUM_CLASSES).eval()


@pytest.mark.parametrize("name", METHODS)
def test_every_scale_has_an_image_a_segmentation_and_for_sge_net_a_reliability(name: str) -> None:
    batch = small_batch(images=1, side=48)
    with torch.no_grad():
        prediction = _generator(name)(batch.image, batch.hole_mask)
    sides = [48, 24, 12, 6, 3]
    assert [image.shape for image in prediction.images] == [(1, 3, side, side) for side in sides]
    assert [logits.shape for logits in prediction.label_logits] == [(1, NUM_CLASSES, side, side) for side in sides]
    reliable = [(1, 1, side, side) for side in sides] if name == "sge_net" else []
    assert [mask.shape for mask in prediction.reliability] == reliable
    assert prediction.features is not None
    assert prediction.features.shape == (1, small_network().widths[3], 6, 6)
    assert all(image.abs().max() <= 1 for image in prediction.images)


def test_the_coarsest_reliability_is_the_input_mask_and_the_others_doubt_their_share() -> None:
    batch = small_batch()
    with torch.no_grad():
        masks = _generator()(batch.image, batch.hole_mask).reliability
    known_cells = batch.hole_mask.view(2, 2, 16, 2, 16).sum(dim=(2, 4)) == 0
    assert torch.equal(masks[4][:, 0] == 1, known_cells)
    for scale, ratio in enumerate(small_network().tau.ratios):
        side = SIDE >> scale
        doubted = (masks[scale] == 0).flatten(1).sum(dim=1)
        assert torch.equal(doubted, torch.full((2,), math.ceil(ratio * side * side)))


def test_a_given_segmentation_takes_the_place_of_the_predicted_one_mixed_by_area() -> None:
    logits = torch.log(torch.tensor([0.5, 0.3, 0.2])).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    guide = torch.full((1, 4, 4), 255)
    guide[0, :2, :2] = torch.tensor([[0, 0], [0, 2]])  # all given: three quarters and a quarter
    guide[0, :2, 2] = 1  # half given, half the network's own
    mixed = guide_logits(logits, guide, scale=1).softmax(dim=1)[0]
    assert torch.allclose(mixed[:, 0, 0], torch.tensor([0.75, 0.0, 0.25]), atol=1e-6)
    assert torch.allclose(mixed[:, 0, 1], torch.tensor([0.25, 0.65, 0.1]), atol=1e-6)
    assert torch.equal(guide_logits(logits, guide, scale=1)[:, :, 1], logits[:, :, 1])


def test_guidance_reaches_the_image_the_reliability_and_every_scale() -> None:
    generator, batch = _generator(), small_batch()
    guide = torch.full_like(batch.label, 255)
    guide[:, 8:24] = 1
    with torch.no_grad():
        free = generator(batch.image, batch.hole_mask)
        guided = generator(batch.image, batch.hole_mask, guide)
    assert (free.image - guided.image).abs().max() > 1e-4
    for scale in range(4):
        rows = slice(8 >> scale, 24 >> scale)
        assert torch.equal(guided.label_logits[scale][:, :, rows].argmax(dim=1).unique(), torch.tensor([1]))
    with torch.no_grad():
        all_given = generator(batch.image, batch.hole_mask, torch.zeros_like(batch.label))
    # Equal confidences have no doubtful share: what is given for certain is not doubted.
    assert all(bool(mask.all()) for mask in all_given.reliability[:4])
    assert torch.equal(all_given.reliability[4], free.reliability[4])
    with pytest.raises(ValueError, match="takes no guide"):
        _generator("base_net")(batch.image, batch.hole_mask, guide)


@pytest.mark.parametrize("context", ["channel_fc", "dilated", "fourier"])
@pytest.mark.parametrize("size", [(32, 64), (16, 48)])
def test_every_context_takes_other_sizes_than_the_training_crop_and_each_image_alone(
    context: str, size: tuple[int, int]
) -> None:
    generator, hole_mask = _generator(context=context), torch.zeros(3, 1, *size)
    images = torch.rand(3, 3, *size)
    hole_mask[..., 4:12, 4:12] = 1
    with torch.no_grad():
        together = generator(images, hole_mask).image
        alone = generator(images[1:2], hole_mask[1:2]).image
    assert together.shape == images.shape
    assert torch.allclose(together[1:2], alone, atol=1e-5)


@pytest.mark.parametrize("context", ["channel_fc", "fourier"])
def test_information_crosses_the_whole_image_through_the_context(context: str) -> None:
    generator = _generator(context=context, encoder_blocks=(0, 0, 0, 0, 0), decoder_blocks=(0, 0, 0, 0))
    features = torch.zeros(1, 8, 6, 6, requires_grad=True)
    assert isinstance(generator, SGEGenerator)
    generator.context(features + torch.rand(1, 8, 6, 6))[0, :, 0, 0].sum().backward()
    assert features.grad is not None
    assert bool((features.grad.abs().sum(dim=1) > 0).all())


def test_a_channelwise_layer_connects_every_pixel_of_a_channel_and_nothing_between_channels() -> None:
    torch.manual_seed(0)
    layer, x = ChannelwiseFullyConnected(2, side=3), torch.rand(1, 2, 3, 3)
    with torch.no_grad():
        for parameter in layer.mix.parameters():
            parameter.zero_()
        layer.mix.weight.copy_(torch.eye(2)[:, :, None, None])
    expected = torch.empty(2, 9)
    for channel in range(2):
        for target in range(9):
            total = layer.bias[channel, target] + sum(
                x[0, channel].flatten()[source] * layer.weight[channel, source, target] for source in range(9)
            )
            expected[channel, target] = torch.maximum(total, 0.2 * total).detach()
    assert torch.allclose(layer(x)[0].flatten(1), x[0].flatten(1) + expected, atol=1e-6)


def test_evaluation_without_guidance_is_refused() -> None:
    with pytest.raises(ValueError, match="builds on semantic guidance"):
        SGEGenerator(NUM_CLASSES, small_network(), guided=False, evaluated=True)


def test_every_parameter_of_every_method_takes_part() -> None:
    batch = small_batch()
    for name, start in itertools.product(METHODS, ("grey", "membrane")):
        generator = build_generator(name, small_recipe(network={"start": start}), NUM_CLASSES)
        prediction = generator(batch.image, batch.hole_mask)
        torch.stack(
            [tensor.square().mean() for tensor in (*prediction.images, *prediction.label_logits)]
        ).sum().backward()
        idle = [key for key, value in generator.named_parameters() if value.grad is None or not bool(value.grad.any())]
        assert idle == [], (name, start)


@pytest.fixture(scope="module")
def settings() -> Settings:
    return settings_of_every_dataset()


GOLDEN_PARAMETERS = {
    "mixed_scenes": (1_673_031, 1_922_823, 2_086_655),
    "outdoor_mix": (9_333_143, 9_749_399, 10_247_271),
    "outdoor_photos": (9_333_143, 9_749_399, 10_247_271),
    "camvid": (9_349_574, 9_769_286, 10_267_158),
    "outdoor_scenes": (70_849_527, 75_314_423, 82_079_543),
    "cityscapes": (70_995_310, 75_510_894, 82_276_014),
    "places2": (70_849_527, 75_314_423, 82_079_543),
}
"""Of Base-Net, SG-Net and SGE-Net; the last three datasets have the paper's crop and the default widths."""


@pytest.mark.parametrize("dataset", GOLDEN_PARAMETERS)
def test_the_presets_build_networks_of_the_known_sizes(settings: Settings, dataset: str) -> None:
    recipe, num_classes = settings.recipes[dataset], settings.data[dataset].labels.num_classes
    with torch.device("meta"):
        counts = [count_parameters(build_generator(name, recipe, num_classes)) for name in METHODS]
    assert tuple(counts) == GOLDEN_PARAMETERS[dataset]


def test_the_golden_sizes_cover_every_preset(settings: Settings) -> None:
    assert GOLDEN_PARAMETERS.keys() == settings.recipes.keys()


def test_the_paper_s_datasets_use_the_default_widths(settings: Settings) -> None:
    for dataset in ("outdoor_scenes", "cityscapes", "places2"):
        assert settings.recipes[dataset].network == NetworkSettings(start="membrane")
        assert settings.data[dataset].crop == NetworkSettings().image_size == 256


@pytest.mark.parametrize(("image_size", "expected"), [(16, [1]), (64, [1, 2]), (128, [1, 2, 4]), (256, [1, 2, 4, 8])])
def test_every_tap_of_the_dilated_blocks_sees_features_on_the_map_that_they_are_trained_on(
    image_size: int, expected: list[int]
) -> None:
    context = build_context(small_network(image_size=image_size, context_blocks=5))
    convolutions = [block.conv_1 for block in context]
    assert [convolution.dilation[0] for convolution in convolutions] == [expected[i % len(expected)] for i in range(5)]
    side = image_size // 16
    context(torch.randn(1, 8, side, side)).sum().backward()
    if side > 1:
        assert all(bool((convolution.weight.grad != 0).any(1).any(0).all()) for convolution in convolutions)


def test_dilations_that_a_recipe_names_are_taken_as_they_are() -> None:
    context = build_context(small_network(context_blocks=3, context_dilations=(1, 8)))
    assert [block.conv_1.dilation[0] for block in context] == [1, 8, 1]
