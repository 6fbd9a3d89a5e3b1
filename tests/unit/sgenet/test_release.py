"""A released model: two files without pickles that come back as they were, or are refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from small import NUM_CLASSES, small_recipe

from sgenet.errors import CheckpointError
from sgenet.label_space import LabelSpace
from sgenet.methods.build import build_generator
from sgenet.methods.release import load_released, save_released

LABELS = LabelSpace(("sky", "ground", "thing"))
RECIPE = small_recipe(losses={"hole_weight": 2.5, "perceptual_scales": (0, 3)}, seed=11)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A released SGE-Net whose weights are not those its seed would give."""
    generator = build_generator("sge_net", small_recipe(seed=3), NUM_CLASSES)
    save_released(tmp_path / "model", "sge_net", generator, RECIPE, LABELS)
    return tmp_path / "model"


def test_a_network_in_channels_last_is_written_as_any_other(folder: Path, tmp_path: Path) -> None:
    generator = build_generator("sge_net", small_recipe(seed=3), NUM_CLASSES).to(memory_format=torch.channels_last)
    save_released(tmp_path / "again", "sge_net", generator, RECIPE, LABELS)
    for name in ("model.safetensors", "model.json"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_both_files_may_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    generator = build_generator("sge_net", small_recipe(seed=3), NUM_CLASSES)
    before = os.umask(0o027)
    try:
        save_released(tmp_path / "model", "sge_net", generator, RECIPE, LABELS)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "model").iterdir()} == {0o640}


def test_two_plain_files_are_written_and_nothing_else(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "model.safetensors"]
    json.loads((folder / "model.json").read_text(encoding="utf-8"))
    with safe_open(folder / "model.safetensors", "pt") as weights:
        assert len(weights.keys()) > 10
    content = (folder / "model.safetensors").read_bytes()
    assert not content.startswith((b"PK", b"\x80"))
    assert b"data.pkl" not in content


Content = dict[str, Any]
DAMAGE: dict[str, Callable[[Content], Any]] = {
    "an unknown version": lambda content: content | {"format_version": 99},
    "an unknown method": lambda content: content | {"method": "no_net"},
    "another method": lambda content: content | {"method": "base_net"},
    "an unknown setting": lambda content: content | {"recipe": content["recipe"] | {"unheard": 1}},
    "a list of settings": lambda content: content | {"recipe": [1]},
    "an unknown context": lambda content: content | {"recipe": _with_network(content["recipe"], context="none")},
    "fewer widths": lambda content: content | {"recipe": _with_network(content["recipe"], widths=[8, 8])},
    "no recipe": lambda content: {key: value for key, value in content.items() if key != "recipe"},
    "fewer classes": lambda content: content | {"label_space": {"names": ["one"], "colours": [[0, 0, 0]]}},
    "a class twice": lambda content: content | {"label_space": {"names": ["a", "a"], "colours": []}},
    "a list": lambda content: [content],
}


def _with_network(recipe: Content, **changes: object) -> Content:
    return recipe | {"network": recipe["network"] | changes}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_description_is_refused_in_one_sentence(folder: Path, damage: str) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(DAMAGE[damage](json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
    _assert_refused(folder)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
@pytest.mark.parametrize("content", ["half", "empty", "noise"])
def test_a_damaged_file_is_refused_in_one_sentence(folder: Path, name: str, content: str) -> None:
    path = folder / name
    whole = path.read_bytes()
    path.write_bytes({"half": whole[: len(whole) // 2], "empty": b"", "noise": b"\xff\xfe" * 400}[content])
    _assert_refused(folder)


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{folder / name} does not exist; a model is a folder"):
        load_released(folder)


def _assert_refused(folder: Path) -> None:
    with pytest.raises(CheckpointError) as raised:
        load_released(folder)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)
