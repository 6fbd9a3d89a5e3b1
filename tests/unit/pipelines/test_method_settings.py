"""The compared methods in the settings file: published unless said otherwise, and checked like the rest."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.settings.load import parse
from pipelines.settings.titles import TITLES
from pipelines.stages.train import method_settings
from sgenet.errors import SettingsError
from sgenet.methods.edge_connect.settings import EdgeConnectSettings
from sgenet.methods.recipe import Recipe
from sgenet.methods.registry import METHODS as REGISTERED
from sgenet.methods.spg_net.settings import SPGNetSettings
from sgenet.settings import LossSettings


@pytest.fixture
def raw(raw: dict[str, Any]) -> dict[str, Any]:
    return raw | {"methods": list(REGISTERED)}


def _problems(raw: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as raised:
        parse(raw)
    return str(raised.value)


def test_every_method_can_be_named_has_a_title_and_fits_the_repository_s_recipes(raw: dict[str, Any]) -> None:
    assert list(parse(raw).methods) == list(REGISTERED)
    assert set(REGISTERED) <= set(TITLES)


def test_what_is_not_named_stays_as_published(raw: dict[str, Any]) -> None:
    raw["recipes"]["mixed_scenes"]["edge_connect"] = {"optimizer": {"generator_lr": 1e-3}, "style": 1.0}
    settings = parse(raw).recipes["mixed_scenes"].edge_connect
    assert (settings.optimizer.generator_lr, settings.style) == (1e-3, 1.0)
    assert (settings.optimizer.discriminator_lr, settings.optimizer.betas, settings.width) == (1e-5, (0.0, 0.9), 64)


@pytest.mark.parametrize(
    ("method", "key", "value", "sentence"),
    [
        ("gated_conv", "width", 10, "gated_conv.width must be a multiple of 4, found 10"),
        ("gated_conv", "adversarial", -1, "gated_conv.adversarial must be at least 0"),
        (
            "gated_conv",
            "optimizer",
            {"discriminator_lr": 0},
            "optimizer.discriminator_lr must be greater than 0",
        ),
        ("edge_connect", "edge_adversarial", 0, "edge_connect.edge_adversarial must be greater than 0"),
        ("edge_connect", "style", -2, "edge_connect.style must be at least 0"),
        ("edge_connect", "sigma", 0, "edge_connect.sigma must be greater than 0"),
        ("edge_connect", "optimizer", {"betas": [0, 1]}, "edge_connect.optimizer.betas.1 must be less than 1"),
        ("edge_connect", "smoothing", 1, "smoothing is not a setting"),
        ("spg_net", "label_adversarial", 0, "spg_net.label_adversarial must be greater than 0"),
        ("spg_net", "segmentation", -1, "spg_net.segmentation must be at least 0"),
        ("spg_net", "segmenter_width", 0, "spg_net.segmenter_width must be greater than 0"),
        (
            "spg_net",
            "discriminator",
            {"num_scales": 0},
            "spg_net.discriminator.num_scales must be greater than 0",
        ),
        (
            "spg_net",
            "discriminator",
            {"num_layers": 5},
            "spg_net.discriminator: 5 layers at 3 scales need images of 384 px",
        ),
        ("spg_net", "optimizer", {"ema_decay": 1}, "spg_net.optimizer.ema_decay must be less than 1"),
    ],
)
def test_each_kind_of_mistake_is_named(raw: dict[str, Any], method: str, key: str, value: Any, sentence: str) -> None:
    raw["recipes"]["camvid"][method] = {key: value}
    assert f"recipes.camvid.{method}" in _problems(raw)
    assert sentence in _problems(raw)


def test_a_crop_too_small_for_a_discriminator_is_named_where_the_method_is_used(raw: dict[str, Any]) -> None:
    raw["data"]["mixed_scenes"]["crop"] = 16
    problems = _problems(raw)
    assert "data.mixed_scenes: crop (16) must be at least 33 for gated_conv" in problems
    assert "data.mixed_scenes: crop (16) must be at least 24 for edge_connect" in problems
    assert "spg_net.discriminator: 2 layers at 3 scales need images of 48 px, but the crop is 16" in problems
    raw["methods"] = ["sge_net"]
    problems = _problems(raw)
    assert "for gated_conv" not in problems
    assert "spg_net.discriminator" not in problems


def test_the_report_is_told_which_vgg_was_used() -> None:
    recipe = Recipe(
        losses=LossSettings(perceptual=0.0, perceptual_weights="random"),
        edge_connect=EdgeConnectSettings(perceptual=0.0, style=1.0, perceptual_weights="a.pth"),
        spg_net=SPGNetSettings(perceptual_weights="b.pth"),
    )

    def weights(name: str, recipe: Recipe) -> str:
        return REGISTERED[name].perceptual_weights(recipe)

    used = {name: weights(name, recipe) for name in REGISTERED}
    assert used == dict.fromkeys(REGISTERED, "none") | {
        "edge_connect": "a.pth",
        "spg_net": "b.pth",
        "lama": "imagenet",
    }
    assert weights("spg_net", Recipe(spg_net=SPGNetSettings(perceptual=0))) == "none"
    assert weights("edge_connect", Recipe(edge_connect=EdgeConnectSettings(perceptual=0, style=0))) == "none"
    assert weights("gated_conv", Recipe()) == "none"


def test_a_run_records_the_settings_of_its_own_method_alone() -> None:
    shared = {"network", "discriminator", "losses", "guidance", "optimizer"}
    of_all = {"augmentation", "training", "start_from"}
    for name, spec in REGISTERED.items():
        assert set(method_settings(Recipe(), name)) == of_all | (shared if spec.settings is None else {name})
