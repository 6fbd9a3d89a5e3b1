from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.storage.code import digest_code, modules_run_by
from pipelines.training.run_key import FITTED_BY, TRAINED_BY, run_key, segmenter_key
from sgenet.errors import DataError
from sgenet.label_space import CAMVID, OUTDOOR_SCENES
from sgenet.methods.recipe import Recipe
from sgenet.segmenters.settings import DeepLabSettings, SegmenterRecipe
from sgenet.settings import HoleSettings, LossSettings, TrainingSettings

IDENTITY: dict[str, Any] = {
    "method": "sge_net",
    "recipe": Recipe(),
    "label_space": OUTDOOR_SCENES,
    "crop": 128,
    "holes": (HoleSettings(kind="centre", size=64),),
    "data_digest": "data",
    "masks_digest": "masks",
    "code_digest": "code",
}


def test_key_is_the_same_in_another_process() -> None:
    code = "from test_run_key import IDENTITY, run_key; print(run_key(**IDENTITY))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    folder = Path(__file__).parent
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=folder, env=environment, text=True)
    assert printed.strip() == run_key(**IDENTITY)


OF_SEGMENTER: dict[str, Any] = {
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
        {"method": "base_net"},
        {"recipe": Recipe(losses=LossSettings(adversarial=0.02))},
        {"recipe": Recipe(training=TrainingSettings(steps=99_999))},
        {"recipe": Recipe(training=TrainingSettings(seed=2))},
        {"recipe": Recipe(training=TrainingSettings(budget="wall_clock", seconds=60.0))},
        {"recipe": Recipe(training=TrainingSettings(log_every=51))},
        {"label_space": CAMVID},
        {"crop": 127},
        {"holes": (HoleSettings(kind="centre", size=65),)},
        {"holes": (HoleSettings(kind="centre", size=64, weight=2),)},
        {"data_digest": "other"},
        {"masks_digest": "other"},
        {"code_digest": "other"},
    ],
    ids=str,
)
def test_key_changes_with_whatever_changes_the_result(change: dict[str, Any]) -> None:
    assert run_key(**{**IDENTITY, **change}) != run_key(**IDENTITY)


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
def test_so_does_that_of_a_segmenter(change: dict[str, Any]) -> None:
    assert segmenter_key(**{**OF_SEGMENTER, **change}) != segmenter_key(**OF_SEGMENTER)


def test_key_ignores_how_the_training_is_operated() -> None:
    operated = TrainingSettings(loader_processes=7, checkpoint_every=3, keep_checkpoints=9)
    assert run_key(**{**IDENTITY, "recipe": Recipe(training=operated)}) == run_key(**IDENTITY)


def _key_with_file(part: str, path: Path) -> str:
    """Of a training that reads a file of masks or of weights, or of a segmenter that does."""
    if part == "masks":
        return run_key(**{**IDENTITY, "holes": (HoleSettings(kind="files", path=str(path.parent)),)})
    if part == "deeplab":
        recipe = SegmenterRecipe(deeplab=DeepLabSettings(weights=str(path)))
        return segmenter_key(**{**OF_SEGMENTER, "recipe": recipe})
    settings = replace(getattr(Recipe(), part), perceptual_weights=str(path))
    return run_key(**{**IDENTITY, "recipe": replace(Recipe(), **{part: settings})})


@pytest.mark.parametrize("part", ["masks", "losses", "edge_connect", "spg_net", "deeplab"])
def test_files_count_by_their_content_not_by_their_place(tmp_path: Path, part: str) -> None:
    keys = []
    for folder, content in (("here", b"a"), ("there", b"a"), ("changed", b"b")):
        path = tmp_path / folder / "file"
        path.parent.mkdir()
        path.write_bytes(content)
        keys.append(_key_with_file(part, path))
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("part", ["masks", "deeplab"])
def test_missing_files_are_named(tmp_path: Path, part: str) -> None:
    with pytest.raises(DataError, match=r"nowhere.* does not exist"):
        _key_with_file(part, tmp_path / "nowhere" / "file")


def test_all_that_a_worker_computes_with_is_in_the_code_digest() -> None:
    """What a worker imports and the digest leaves out records, carries and judges; it trains nothing."""
    judged = ("pipelines.training", "pipelines.data", "sgenet.evaluation", "sgenet.figures", "sgenet.training")
    beside = set(modules_run_by("pipelines.training.worker")) - set(modules_run_by(*FITTED_BY))
    assert [name for name in beside if not name.startswith(judged)] == []
    readers = {"decode_raw", "kept_memory", "loader", "reader", "sampler"}
    assert {f"pipelines.data.shards.{name}" for name in readers} <= set(modules_run_by(*TRAINED_BY))


def test_segmenters_count_where_one_is_fitted_alone() -> None:
    assert digest_code(*FITTED_BY) != digest_code(*TRAINED_BY) == digest_code(*TRAINED_BY)


def test_automatic_labels_are_another_training_and_peoples_are_as_ever() -> None:
    assert run_key(**IDENTITY, labels_digest=None) == run_key(**IDENTITY)
    assert len({run_key(**IDENTITY, labels_digest=digest) for digest in (None, "one", "other")}) == 3


def test_recipe_defaults_and_the_same_values_spelled_out_are_one_training() -> None:
    spelled_out = replace(Recipe(), losses=LossSettings(reconstruction=1.0, perceptual=0.1))
    assert run_key(**{**IDENTITY, "recipe": spelled_out}) == run_key(**IDENTITY)
