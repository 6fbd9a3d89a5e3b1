from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.training.run_key import digest_code, run_key
from sgenet.errors import DataError
from sgenet.label_space import CAMVID, OUTDOOR_SCENES
from sgenet.settings import HoleSettings, LossSettings, Recipe, TrainingSettings

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


def test_key_ignores_how_the_training_is_operated() -> None:
    operated = TrainingSettings(loader_processes=7, checkpoint_every=3, keep_checkpoints=9)
    assert run_key(**{**IDENTITY, "recipe": Recipe(training=operated)}) == run_key(**IDENTITY)


def test_mask_files_count_by_their_content_not_by_their_place(tmp_path: Path) -> None:
    keys = []
    for folder, content in (("here", b"a"), ("there", b"a"), ("changed", b"b")):
        path = tmp_path / folder / "sub" / "mask.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
        hole = HoleSettings(kind="files", path=str(tmp_path / folder))
        keys.append(run_key(**{**IDENTITY, "holes": (hole,)}))
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("part", ["losses", "edge_connect", "spg_net"])
def test_weights_of_vgg_count_by_their_content_not_by_their_place(tmp_path: Path, part: str) -> None:
    keys = []
    for name, content in (("here.pth", b"a"), ("there.pth", b"a"), ("changed.pth", b"b")):
        (tmp_path / name).write_bytes(content)
        settings = replace(getattr(Recipe(), part), perceptual_weights=str(tmp_path / name))
        keys.append(run_key(**{**IDENTITY, "recipe": replace(Recipe(), **{part: settings})}))
    assert keys[0] == keys[1] != keys[2]


def test_missing_folder_of_mask_files_is_named(tmp_path: Path) -> None:
    hole = HoleSettings(kind="files", path=str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="nowhere"):
        run_key(**{**IDENTITY, "holes": (hole,)})


def test_code_digest_is_the_same_every_time() -> None:
    assert digest_code() == digest_code()


def test_all_that_reads_samples_for_a_training_is_in_the_code_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []
    monkeypatch.setattr("pipelines.training.run_key.digest_files", lambda paths, root: hashed.extend(paths) or "digest")
    digest_code()
    code = "import sys, pipelines.data.shards.loader, pipelines.data.shards.decode; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    readers = {name.rpartition(".")[2] for name in loaded if name.startswith("pipelines.data.shards.")}
    # What the schema describes is in the data's own digest.
    assert readers - {path.stem for path in hashed if path.parent.name == "shards"} == {"schema"}


def test_segmenters_count_where_one_is_fitted_alone() -> None:
    assert digest_code(segmenters=True) != digest_code()


def test_automatic_labels_are_another_training_and_peoples_are_as_ever() -> None:
    assert run_key(**IDENTITY, labels_digest=None) == run_key(**IDENTITY)
    assert len({run_key(**IDENTITY, labels_digest=digest) for digest in (None, "one", "other")}) == 3


def test_recipe_defaults_and_the_same_values_spelled_out_are_one_training() -> None:
    spelled_out = replace(Recipe(), losses=LossSettings(reconstruction=1.0, perceptual=0.1))
    assert run_key(**{**IDENTITY, "recipe": spelled_out}) == run_key(**IDENTITY)
