from __future__ import annotations

from typing import Any

import pytest
from every_dataset import every_dataset, settings_of_every_dataset

from pipelines.report.paper import published
from pipelines.settings.load import parse
from pipelines.settings.params import Settings
from pipelines.settings.presets import with_presets


@pytest.fixture(scope="module")
def settings() -> Settings:
    return settings_of_every_dataset()


def _changed(**sections: Any) -> Settings:
    raw = with_presets(every_dataset(), "params.yaml")[0]
    for section, (dataset, change) in sections.items():
        raw[section][dataset] |= change
    return parse(raw)


def test_the_recipes_for_the_papers_datasets_have_its_numbers_beside_them(settings: Settings) -> None:
    outdoor = published(settings, "outdoor_scenes", "centre")
    assert str(outdoor["sge_net"]) == "20.53 / 0.81 / 40.67"
    # Table 3 has Base-Net for this setting alone.
    assert "base_net" in outdoor
    assert "base_net" not in published(settings, "outdoor_scenes", "irregular")
    assert str(published(settings, "outdoor_scenes", "irregular")["edge_connect"]) == "19.63 / 0.83 / 44.31"
    assert str(published(settings, "cityscapes", "centre")["spg_net"]) == "20.14 / 0.71 / 23.21"
    assert str(published(settings, "cityscapes", "irregular")["gated_conv"]) == "17.42 / 0.72 / 40.57"


def test_other_data_or_holes_have_none(settings: Settings) -> None:
    assert published(settings, "mixed_scenes", "centre") == {}
    assert published(settings, "outdoor_mix", "centre") == {}
    assert published(settings, "outdoor_scenes", "unknown") == {}
    larger = _changed(data=("outdoor_scenes", {"shorter_side": 300}))
    assert published(larger, "outdoor_scenes", "centre") == {}
    evaluation = [
        {"name": "centre", "hole": {"kind": "centre", "size": 64}},
        {"name": "irregular", "hole": {"kind": "medium"}},
    ]
    drawn = _changed(masks=("outdoor_scenes", {"evaluation": evaluation}))
    assert published(drawn, "outdoor_scenes", "centre") == {}
    assert published(drawn, "outdoor_scenes", "irregular") == {}
