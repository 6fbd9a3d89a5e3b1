"""Where labels come from, as the settings say it; and what must be named before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from every_dataset import every_dataset

from pipelines.settings.labels import LabelSettings
from pipelines.settings.load import parse
from pipelines.settings.params import Settings
from sgenet.errors import SettingsError


def with_labels(labels: Any, dataset: str = "mixed_scenes") -> Settings:
    return parse(every_dataset() | {"labels": {dataset: labels}})


def test_people_label_unless_the_settings_say_otherwise() -> None:
    assert parse(every_dataset() | {"labels": {}}).labels_of("mixed_scenes") == LabelSettings(source="human")


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
            "mixed_scenes.recipe.class_balance must be at most 1",
        ),
        (
            {"recipe": {"training": {"batch_size": 0}}},
            "labels.mixed_scenes.recipe.training.batch_size must be greater than 0",
        ),
    ],
)
def test_what_is_wrong_is_named(labels: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        with_labels(labels)


def test_labels_of_a_dataset_that_there_is_not_are_named() -> None:
    with pytest.raises(SettingsError, match=r"labels names 'mixed_scene', but data.mixed_scene does not exist"):
        with_labels({"source": "auto"}, "mixed_scene")
