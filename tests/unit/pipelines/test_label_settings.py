"""Where labels come from, as the settings say it; and what must be named before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from every_dataset import every_dataset

from pipelines.settings.labels import LabelSettings
from pipelines.settings.load import parse
from pipelines.settings.params import Settings
from pipelines.settings.presets import with_presets
from pipelines.training.run_key import segmenter_key
from sgenet.errors import DataError, SettingsError
from sgenet.label_space import CAMVID, OUTDOOR_SCENES
from sgenet.segmenters.settings import DeepLabSettings, SegmenterRecipe
from sgenet.settings import TrainingSettings

ROOT = Path(__file__).resolve().parents[3]


def with_labels(labels: Any, dataset: str = "mixed_scenes") -> Settings:
    raw = with_presets(every_dataset(), "params.yaml")[0]
    return parse(raw | {"labels": {dataset: labels}})


def test_people_label_unless_the_settings_say_otherwise() -> None:
    raw = with_presets(every_dataset(), "params.yaml")[0]
    raw.pop("labels", None)
    assert parse(raw).labels_of("mixed_scenes") == LabelSettings(source="human")


def test_what_the_issue_asks_a_user_to_type_is_enough() -> None:
    labels = with_labels({"source": "auto", "segmenter": "deeplab_v3_plus"}).labels_of("mixed_scenes")
    assert (labels.source, labels.segmenter, labels.checkpoint) == ("auto", "deeplab_v3_plus", None)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"source": "guess"}, "labels.mixed_scenes.source"),
        ({"segmentor": "deep_parsing"}, "labels.mixed_scenes.segmentor is not a setting; did you mean segmenter?"),
        ({"recipe": {"deeplab": {"encoders": "x"}}}, "labels.mixed_scenes.recipe.deeplab.encoders is not a setting"),
        ({"source": "auto", "segmenter": "transformers"}, "labels.mixed_scenes.checkpoint is missing"),
        ({"class_map": {0: 1}}, "labels.mixed_scenes.class_map is for transformers"),
        ({"threshold": 1.5}, "labels.mixed_scenes.threshold"),
        (
            {"recipe": {"deep_parsing": {"local_window": 50}}},
            r"labels.mixed_scenes.recipe.deep_parsing.local_window \(50\) must be odd",
        ),
        (
            {"recipe": {"class_balance": 2.0}},
            "mixed_scenes.recipe.class_balance: input should be less than",
        ),
        (
            {"recipe": {"training": {"batch_size": 0}}},
            "labels.mixed_scenes.recipe.training.batch_size: input should be greater than 0",
        ),
    ],
)
def test_what_is_wrong_is_named(labels: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        with_labels(labels)


def test_labels_of_a_dataset_that_there_is_not_are_named() -> None:
    with pytest.raises(SettingsError, match=r"labels names 'mixed_scene', but data.mixed_scene does not exist"):
        with_labels({"source": "auto"}, "mixed_scene")


IDENTITY: dict[str, Any] = {
    "segmenter": "deeplab_v3_plus",
    "recipe": SegmenterRecipe(),
    "label_space": OUTDOOR_SCENES,
    "crop": 128,
    "validation_split": "val",
    "data_digest": "data",
    "code_digest": "code",
}


@pytest.mark.parametrize(
    "change",
    [
        {"segmenter": "deep_parsing"},
        {"recipe": SegmenterRecipe(class_balance=0.0)},
        {"recipe": SegmenterRecipe(deeplab=DeepLabSettings(encoder="resnet50"))},
        {"recipe": SegmenterRecipe(deeplab=DeepLabSettings(weights="imagenet"))},
        {"recipe": SegmenterRecipe(training=TrainingSettings(seed=2))},
        {"label_space": CAMVID},
        {"crop": 64},
        {"validation_split": "train"},
        {"data_digest": "other"},
        {"code_digest": "other"},
    ],
    ids=str,
)
def test_a_fitting_is_another_one_with_whatever_changes_its_result(change: dict[str, Any]) -> None:
    assert segmenter_key(**{**IDENTITY, **change}) != segmenter_key(**IDENTITY)


def test_weights_count_by_their_content_not_by_their_place(tmp_path: Path) -> None:
    keys = []
    for name, content in (("here", b"a"), ("there", b"a"), ("changed", b"b")):
        (tmp_path / name).write_bytes(content)
        recipe = SegmenterRecipe(deeplab=DeepLabSettings(weights=str(tmp_path / name)))
        keys.append(segmenter_key(**{**IDENTITY, "recipe": recipe}))
    assert keys[0] == keys[1] != keys[2]
    recipe = SegmenterRecipe(deeplab=DeepLabSettings(weights=str(tmp_path / "nowhere")))
    with pytest.raises(DataError, match="nowhere does not exist"):
        segmenter_key(**{**IDENTITY, "recipe": recipe})
