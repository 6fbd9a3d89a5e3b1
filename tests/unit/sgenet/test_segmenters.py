"""Deep Parsing Network, DeepLab v3+ and mapped checkpoints: their weights, their sizes, their refusals."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import vgg16

from sgenet.errors import CheckpointError, SettingsError
from sgenet.label_space import OUTDOOR_SCENES, LabelSpace
from sgenet.segmenters.build import SEGMENTERS, build_segmenter
from sgenet.segmenters.deep_parsing import UnaryNetwork
from sgenet.segmenters.deeplab import DeepLabV3Plus
from sgenet.segmenters.pretrained import MappedSegmenter, load_transformers, same_names
from sgenet.segmenters.release import load_segmenter, save_segmenter
from sgenet.segmenters.segmenter import imagenet_normalised, label_pixels
from sgenet.segmenters.settings import DeepLabSettings, DeepParsingSettings, SegmenterRecipe

NUM_CLASSES = 3
SMALL = DeepParsingSettings(width=4, context_width=6, local_window=5, context_window=3, num_contexts=2)
RECIPE = SegmenterRecipe(deep_parsing=SMALL, deeplab=DeepLabSettings(encoder="resnet18"))
SPACE = LabelSpace(("left", "right", "square"))


def images(height: int = 40, width: int = 52, count: int = 1, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def small_vgg_file(folder: Path, width: int = 4, hidden: int = 6) -> dict[str, Tensor]:
    """A file with torchvision's keys, of a VGG-16 so narrow that it is nothing to write."""
    rng = torch.Generator().manual_seed(5)
    state: dict[str, Tensor] = {}
    channels = 3
    with torch.device("meta"):  # its 138 million weights are not drawn
        layers = vgg16(weights=None).features
    for position, layer in enumerate(layers):
        if isinstance(layer, nn.Conv2d):
            out = width * layer.out_channels // 64
            state[f"features.{position}.weight"] = torch.randn(out, channels, 3, 3, generator=rng) / channels
            state[f"features.{position}.bias"] = torch.randn(out, generator=rng)
            channels = out
    for name, shape in (("classifier.0", (hidden, channels * 49)), ("classifier.3", (hidden, hidden))):
        state[f"{name}.weight"] = torch.randn(shape, generator=rng) / shape[1]
        state[f"{name}.bias"] = torch.randn(hidden, generator=rng)
    torch.save(state, folder / "vgg16.pt")
    return state


@pytest.mark.parametrize("name", SEGMENTERS)
@pytest.mark.parametrize("size", [(40, 52), (33, 47)])
def test_logits_have_the_images_size(name: str, size: tuple[int, int]) -> None:
    segmenter = build_segmenter(name, RECIPE, NUM_CLASSES).eval()
    assert segmenter(images(*size)).shape == (1, NUM_CLASSES, *size)


@pytest.mark.parametrize("name", SEGMENTERS)
def test_an_image_does_not_depend_on_its_neighbours(name: str) -> None:
    """In training as well: two workers with half the batch must compute what one computes with the whole."""
    segmenter = build_segmenter(name, RECIPE, NUM_CLASSES).train()
    both = images(count=2)
    together = segmenter(both)
    assert torch.allclose(together[1:], segmenter(both[1:]), atol=1e-4)
    assert torch.allclose(together, segmenter(both), atol=1e-6)


@pytest.mark.parametrize("name", SEGMENTERS)
def test_weights_follow_from_the_seed_and_leave_the_stream_alone(name: str) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    one, other = build_segmenter(name, RECIPE, NUM_CLASSES), build_segmenter(name, RECIPE, NUM_CLASSES)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_the_unary_part_is_vgg_with_holes_in_place_of_the_last_poolings(tmp_path: Path) -> None:
    """Against plain VGG up to its third pooling, then kernels with zeros between their weights, as in the paper."""
    state = small_vgg_file(tmp_path)
    settings = DeepParsingSettings(**{**vars(SMALL), "weights": str(tmp_path / "vgg16.pt")})
    unary = UnaryNetwork(NUM_CLASSES, settings).eval()
    image = images()
    x = imagenet_normalised(image)
    for position in (0, 2, -1, 5, 7, -1, 10, 12, 14, -1, 17, 19, 21, 24, 26, 28):
        if position < 0:
            x = F.max_pool2d(x, 2)
            continue
        weight = state[f"features.{position}.weight"]
        if position >= 24:
            with_holes = weight.new_zeros(*weight.shape[:2], 5, 5)
            with_holes[..., ::2, ::2] = weight
            weight = with_holes
        x = F.conv2d(x, weight, state[f"features.{position}.bias"], padding=weight.shape[-1] // 2).relu()
    fully_connected = state["classifier.0.weight"].view(6, -1, 7, 7)
    with_holes = fully_connected.new_zeros(*fully_connected.shape[:2], 25, 25)
    with_holes[..., ::4, ::4] = fully_connected
    x = F.conv2d(x, with_holes, state["classifier.0.bias"], padding=12).relu()
    x = F.conv2d(x, state["classifier.3.weight"][..., None, None], state["classifier.3.bias"]).relu()
    expected = F.interpolate(unary.scores(x), image.shape[-2:], mode="bilinear")
    assert torch.allclose(unary(image), expected, rtol=1e-4, atol=1e-5)


def test_without_the_hidden_layers_of_vgg_only_its_convolutions_are_taken(tmp_path: Path) -> None:
    small_vgg_file(tmp_path, hidden=5)
    settings = DeepParsingSettings(**{**vars(SMALL), "weights": str(tmp_path / "vgg16.pt")})
    torch.manual_seed(1)
    loaded = UnaryNetwork(NUM_CLASSES, settings)
    torch.manual_seed(1)
    fresh = UnaryNetwork(NUM_CLASSES, SMALL)
    assert torch.equal(loaded.fc6.weight, fresh.fc6.weight)
    assert not torch.equal(loaded.features[0].weight, fresh.features[0].weight)


def test_a_vgg_of_another_width_is_refused(tmp_path: Path) -> None:
    small_vgg_file(tmp_path, width=8)
    settings = DeepParsingSettings(**{**vars(SMALL), "weights": str(tmp_path / "vgg16.pt")})
    with pytest.raises(CheckpointError, match=r"deep_parsing.weights: .*VGG-16 of width 4"):
        UnaryNetwork(NUM_CLASSES, settings)


@pytest.fixture(scope="module")
def encoder_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with statistics that matter, as ImageNet's do."""
    from segmentation_models_pytorch.encoders import get_encoder

    torch.manual_seed(2)
    encoder = get_encoder("resnet18", weights=None)
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    path = tmp_path_factory.mktemp("encoder") / "resnet18.pt"
    torch.save(encoder.state_dict(), path)
    return path


def test_an_encoder_with_weights_computes_as_it_was_trained_and_keeps_its_statistics(encoder_file: Path) -> None:
    from segmentation_models_pytorch.encoders import get_encoder

    reference = get_encoder("resnet18", weights=None, output_stride=16)
    reference.load_state_dict(torch.load(encoder_file, weights_only=True))
    ours = DeepLabV3Plus(NUM_CLASSES, DeepLabSettings(encoder="resnet18", weights=str(encoder_file))).train()
    image = images(48, 64)
    for expected, found in zip(reference.eval()(image)[1:], ours.network.encoder(image)[1:], strict=True):
        assert torch.allclose(found, expected, rtol=1e-3, atol=1e-4)
    kinds = {type(module).__name__ for module in ours.network.encoder.modules()}
    assert "FrozenBatchNorm2d" in kinds
    assert "BatchNorm2d" not in kinds


def test_deeplab_ends_its_padding_where_the_image_ends() -> None:
    """What lies beyond the border is a copy of it: the result is that of the filled image, cut."""
    segmenter = build_segmenter("deeplab_v3_plus", RECIPE, NUM_CLASSES).eval()
    image = images(33, 47)
    filled = F.pad(image, (0, 1, 0, 15), mode="replicate")
    assert torch.allclose(segmenter(image), segmenter(filled)[..., :33, :47], atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (DeepLabSettings(encoder="no_such_net"), SettingsError, r"deeplab.encoder \(no_such_net\)"),
        (DeepLabSettings(encoder="resnet18", weights="/nowhere.pt"), CheckpointError, "nowhere.pt does not exist"),
    ],
)
def test_deeplab_says_what_it_cannot_be_built_from(
    settings: DeepLabSettings, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        DeepLabV3Plus(NUM_CLASSES, settings)


def test_imagenet_weights_that_cannot_be_downloaded_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*arguments: object, **options: object) -> nn.Module:
        raise ConnectionError("the network is unreachable")

    monkeypatch.setattr("segmentation_models_pytorch.encoders.get_encoder", no_network)
    with pytest.raises(CheckpointError, match=r"of resnet18 cannot be downloaded .* give the path of a file"):
        DeepLabV3Plus(NUM_CLASSES, DeepLabSettings(encoder="resnet18", weights="imagenet"))


def test_weights_of_another_encoder_are_refused(encoder_file: Path) -> None:
    with pytest.raises(CheckpointError, match="does not hold the encoder resnet34"):
        DeepLabV3Plus(NUM_CLASSES, DeepLabSettings(encoder="resnet34", weights=str(encoder_file)))


def test_a_released_segmenter_needs_no_other_file(encoder_file: Path, tmp_path: Path) -> None:
    recipe = SegmenterRecipe(deeplab=DeepLabSettings(encoder="resnet18", weights=str(encoder_file)))
    network = build_segmenter("deeplab_v3_plus", recipe, NUM_CLASSES).eval()
    save_segmenter(tmp_path, "deeplab_v3_plus", network, recipe, SPACE)
    content = encoder_file.read_bytes()
    encoder_file.unlink()
    try:
        loaded = load_segmenter(tmp_path)
    finally:
        encoder_file.write_bytes(content)
    assert (loaded.name, loaded.recipe, loaded.label_space) == ("deeplab_v3_plus", recipe, SPACE)
    assert torch.equal(loaded.network(images()), network(images()))


def test_a_damaged_segmenter_is_named(tmp_path: Path) -> None:
    save_segmenter(tmp_path, "deep_parsing", build_segmenter("deep_parsing", RECIPE, NUM_CLASSES), RECIPE, SPACE)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(CheckpointError, match=r"the segmenter in .* is damaged"):
        load_segmenter(tmp_path)
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"model.safetensors does not exist"):
        load_segmenter(tmp_path)


class FixedLogits(nn.Module):
    """A network of the library ``transformers``, as far as we use it: the same logits for every pixel."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)
        self.seen: Tensor | None = None

    def forward(self, pixel_values: Tensor) -> SimpleNamespace:
        self.seen = pixel_values
        size = (pixel_values.shape[0], len(self.logits), pixel_values.shape[2] // 4, pixel_values.shape[3] // 4)
        return SimpleNamespace(logits=self.logits.view(1, -1, 1, 1).expand(size))


def test_classes_that_mean_the_same_add_up_and_the_rest_is_none_of_them() -> None:
    probability = torch.tensor([0.3, 0.25, 0.05, 0.4])
    network = FixedLogits(probability.log().tolist())
    segmenter = MappedSegmenter(network, {0: 1, 1: 1, 2: 0}, 4, num_classes=3)
    found = segmenter(images(8, 12)).softmax(dim=1)
    assert found.shape == (1, 4, 8, 12)
    assert torch.allclose(found[0, :, 3, 5], torch.tensor([0.05, 0.55, 0.0, 0.4]), atol=1e-6)


def test_a_pixel_of_a_class_the_dataset_does_not_have_is_ignored() -> None:
    network = FixedLogits([0.0, 9.0])
    segmenter = MappedSegmenter(network, {0: 2}, 2, num_classes=3)
    labelled = label_pixels(segmenter(images(8, 8)).softmax(dim=1), 3, threshold=0.0)
    assert labelled.label.unique().tolist() == [255]


def test_a_mapped_segmenter_normalises_as_its_network_was_trained() -> None:
    network = FixedLogits([0.0, 0.0])
    MappedSegmenter(network, {0: 0}, 2, 1, mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))(torch.ones(1, 3, 8, 8))
    assert network.seen is not None
    assert network.seen[0, :, 0, 0].tolist() == [1.0, 3.0, 1.0]


@pytest.mark.parametrize(
    ("class_map", "message"),
    [({4: 0}, "names the class 4"), ({0: 3}, "sends 0 to 3"), ({}, "is empty")],
)
def test_a_class_map_that_does_not_fit_is_refused(class_map: dict[int, int], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        MappedSegmenter(FixedLogits([0.0] * 4), class_map, 4, num_classes=3)


def test_classes_of_the_same_name_map_to_one_another() -> None:
    assert same_names({0: "Sky", 5: "car", 9: "water"}, OUTDOOR_SCENES) == {0: 1, 9: 2}


def stub_transformers(monkeypatch: pytest.MonkeyPatch, network: nn.Module, names: dict[int, str]) -> dict[str, object]:
    """The package, as far as we use it; gives what it was asked for."""
    asked: dict[str, object] = {}

    class AutoModelForSemanticSegmentation:
        @staticmethod
        def from_pretrained(folder: str, **options: object) -> nn.Module:
            if not (Path(folder) / "config.json").exists():
                raise OSError("no config.json")
            asked.update(options, folder=folder)
            network.config = SimpleNamespace(id2label=names)
            return network

    package = ModuleType("transformers")
    package.AutoModelForSemanticSegmentation = AutoModelForSemanticSegmentation  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "transformers", package)
    return asked


def test_a_checkpoint_of_transformers_is_read_from_its_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = FixedLogits([0.0, 5.0, 0.0])
    asked = stub_transformers(monkeypatch, network, {0: "ship", 1: "Right", 2: "left"})
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0, 0, 0], "image_std": [2, 2, 2]}')
    segmenter = load_transformers(tmp_path, None, SPACE)
    assert asked == {"folder": str(tmp_path), "local_files_only": True, "use_safetensors": True}
    probability = segmenter(torch.ones(1, 3, 8, 8)).softmax(dim=1)
    assert int(probability[0, :, 0, 0].argmax()) == SPACE.names.index("right")
    assert float(probability[0, SPACE.num_classes, 0, 0]) > 0  # the ship is none of them
    assert network.seen is not None
    assert float(network.seen.max()) == 0.5


def test_a_folder_without_a_checkpoint_of_transformers_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub_transformers(monkeypatch, FixedLogits([0.0]), {0: "left"})
    with pytest.raises(CheckpointError, match="does not hold a semantic-segmentation checkpoint"):
        load_transformers(tmp_path, None, SPACE)


def test_the_optional_package_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(SettingsError, match=r"pip install sgenet\[transformers\]"):
        load_transformers(tmp_path, None, SPACE)


def test_unsure_pixels_are_ignored_and_confidence_never_claims_more() -> None:
    probability = torch.tensor([[0.599, 0.401], [0.2, 0.8], [float("nan"), float("nan")], [1.0, 0.0]])
    labelled = label_pixels(probability.T.reshape(1, 2, 4, 1), 2, threshold=0.6)
    assert labelled.label.flatten().tolist() == [255, 1, 255, 0]
    assert labelled.confidence.flatten().tolist() == [152, 204, 0, 255]


def test_a_segmenter_of_other_classes_does_not_label() -> None:
    with pytest.raises(ValueError, match="3 classes are labelled, the segmenter has 5"):
        label_pixels(torch.full((1, 5, 2, 2), 0.2), 3, threshold=0.5)
