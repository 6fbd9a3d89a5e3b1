"""``{preset: NAME}`` in ``params.yaml``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
from every_dataset import every_dataset

from pipelines.settings.load import load, parse
from pipelines.settings.presets import preset_names, with_presets
from sgenet.errors import SettingsError

ROOT = Path(__file__).resolve().parents[3]
RAW = every_dataset()


def with_recipe(**given: object) -> dict[str, object]:
    return RAW | {"recipes": RAW["recipes"] | {"mixed_scenes": given}}


def test_what_stands_beside_a_preset_is_laid_over_it_key_by_key() -> None:
    plain = load(ROOT / "params.yaml").recipes["mixed_scenes"]
    changed = parse(with_recipe(preset="mixed_scenes", training={"steps": 7})).recipes["mixed_scenes"]
    assert plain.training.steps != 7 == changed.training.steps
    before, after = asdict(plain), asdict(changed)
    assert before.pop("training") | {"steps": 7} == after.pop("training")
    assert before == after


def test_lists_are_replaced() -> None:
    masks = {"preset": "photographs_128", "training": [{"kind": "strokes"}]}
    expanded, problems = with_presets({"masks": {"mine": masks}}, "params.yaml")
    assert problems == {}
    assert expanded["masks"]["mine"]["training"] == [{"kind": "strokes"}]
    assert len(expanded["masks"]["mine"]["evaluation"]) == 2


def test_an_unknown_preset_is_the_only_problem_of_its_recipe() -> None:
    # Without one, the discriminator would be too large for the crop.
    with pytest.raises(SettingsError) as refused:
        parse(with_recipe(preset="large"))
    (problem,) = refused.value.problems
    assert "recipes.mixed_scenes.preset: there is no preset 'large'; use one of " in problem


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_a_whole_recipe_of_some_crop(name: str) -> None:
    dataset = "mixed_scenes" if name == "mixed_scenes" else "camvid" if name.endswith("128") else "outdoor_scenes"
    named = {section: RAW[section] | {dataset: {"preset": name}} for section in ("masks", "recipes")}
    training = parse(RAW | named | {"datasets": [dataset]}).recipes[dataset].training
    assert training.steps > 0


@pytest.mark.parametrize(
    ("name", "millions"), [("pilot", 0.48), ("cityscapes", 3.2), ("outdoor_scenes", 5.12), ("places2", 8.0)]
)
def test_the_recipes_for_gpus_build_on_one_and_differ_in_their_length(name: str, millions: float) -> None:
    raw = {"recipes": {"mine": {"preset": name}, "base": {"preset": "photographs_256"}}}
    expanded, problems = with_presets(raw, "params.yaml")
    assert problems == {}
    mine, base = expanded["recipes"]["mine"], expanded["recipes"]["base"]
    assert mine["training"]["batch_size"] * mine["training"]["steps"] == pytest.approx(millions * 1e6)
    assert mine["training"]["compile"]
    assert mine["losses"] == base["losses"]
    assert "preset" not in mine
