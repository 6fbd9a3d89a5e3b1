from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from pipelines.data.adapters.build import ADAPTERS, build_adapters
from pipelines.settings.params import DataSettings
from pipelines.settings.sources import SOURCES
from pipelines.storage.store import open_storage


def folder_source(root: Path, *names: str, **settings: object) -> dict[str, object]:
    storage = open_storage(str(root))
    for name in names:
        storage.write(name, f"{root.name}/{name}".encode())
    return {"adapter": "folder", "root": str(root), "val_ratio": 0, **settings}


def data_settings(*sources: dict[str, object]) -> DataSettings:
    raw = {"sources": sources, "label_space": "outdoor_scenes", "shorter_side": 64, "crop": 64}
    return DataSettings.model_validate(raw)


def test_a_single_source_keeps_its_keys(tmp_path: Path) -> None:
    [(name, adapter)] = build_adapters(data_settings(folder_source(tmp_path, "a.jpg")))
    assert name == "folder"
    assert [(sample.key, sample.source) for sample in adapter.samples()] == [("a", "folder")]


def test_joined_sources_have_names_and_keys_of_their_own(tmp_path: Path) -> None:
    sources = [folder_source(tmp_path / part, "a.jpg") for part in ("one", "two", "three")]
    adapters = build_adapters(data_settings(*sources))
    assert [name for name, _ in adapters] == ["folder", "folder-2", "folder-3"]
    samples = [sample for _, adapter in adapters for sample in adapter.samples()]
    assert [(sample.key, sample.source) for sample in samples] == [
        ("folder-a", "folder"),
        ("folder-2-a", "folder-2"),
        ("folder-3-a", "folder-3"),
    ]
    assert adapters[1][1].read_image(samples[1]) == b"two/a.jpg"


def test_each_joined_source_has_its_own_class_map(tmp_path: Path) -> None:
    first = folder_source(tmp_path / "one", "a.jpg", class_map={0: 1, 1: 6})
    second = folder_source(tmp_path / "two", "a.jpg")
    raw = np.array([[0, 1, 2]], np.uint8)
    mapped = [adapter.map_label(raw).tolist() for _, adapter in build_adapters(data_settings(first, second))]
    assert mapped == [[[1, 6, 255]], [[0, 1, 2]]]


def test_joined_procedural_scenes_draw_the_same_images_as_alone(tmp_path: Path) -> None:
    scenes = {"adapter": "mixed_scenes", "train": 1, "val": 1, "size": [64, 64], "seed": 3}
    [(_, alone)] = build_adapters(data_settings(scenes))
    joined = dict(build_adapters(data_settings(folder_source(tmp_path, "a.jpg"), scenes)))["mixed_scenes"]
    for sample, same in zip(alone.samples(), joined.samples(), strict=True):
        assert same.key == f"mixed_scenes-{sample.key}"
        assert joined.read_image(same) == alone.read_image(sample)
        assert joined.read_label(same) == alone.read_label(sample)


def test_the_problems_of_a_source_are_named() -> None:
    settings = data_settings(
        {"adapter": "camvid", "root": "raw/camvid"},
        {"adapter": "folder"},
        {"adapter": "stanford_background", "root": "raw/x", "class_map": {0: 1, 8: 2, 3: 8, 4: 255}},
    )
    assert [problem for source in settings.sources for problem in source.problems(8)] == [
        "the source camvid has 11 classes, but the label space has 8; add a class_map",
        "the source folder needs root: the folder or s3:// address of its images",
        "class_map of stanford_background sends 3 to 8, but the label space's ids are 0 … 7",
        "class_map of stanford_background names the class 8, but its classes are 0 … 7",
    ]


def test_every_source_that_settings_may_name_is_read() -> None:
    assert ADAPTERS.keys() == SOURCES.keys()


def test_a_source_has_no_settings_of_another(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"places2\.label_root"):
        data_settings({"adapter": "places2", "root": str(tmp_path), "label_root": "labels"})
