"""An address that is none of a tracking store: one sentence and status 2 from every command, and nothing is made."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from project import Project

from pipelines.data.labels.manifest import SegmenterManifest
from pipelines.settings.layout import DatasetPaths, RunPaths
from pipelines.storage.files import sha256_of_file
from pipelines.tracking.address import TrackingError, check_reachable

COMMANDS = (
    ("history",),
    ("promote",),
    ("rollback",),
    ("ui",),
    ("export", "-o", "model.onnx"),
    ("inpaint", "photo.png", "--mask", "hole.png", "-o", "filled.png"),
    ("serve",),
    ("app",),
)
NO_ADDRESS = "is no address of a tracking store; set it to sqlite:///FILE"


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("./mlruns", NO_ADDRESS),
        ("file:///tmp/mlruns", NO_ADDRESS),
        ("mlflow://host", NO_ADDRESS),
        ("sqlite:///mistyped.db", "sqlite:///mistyped.db does not exist; a training creates it"),
        ("sqlite:///photo.png", "is no SQLite database"),
        ("sqlite:///.", "is not a file"),
        ("postgresql://user:secret@127.0.0.1:1/runs", "no database answers at postgresql://127.0.0.1:1/runs"),
        ("http://127.0.0.1:1", "no tracking server answers at http://127.0.0.1:1"),
    ],
)
def test_what_is_wrong_with_an_address_is_said(
    here: Project, address: str, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here.root)
    before = sorted(here.root.rglob("*"))
    with pytest.raises(TrackingError) as caught:
        check_reachable(address, must_exist=True)
    assert problem in str(caught.value)
    assert "secret" not in str(caught.value)
    assert sorted(here.root.rglob("*")) == before


# Killed in the middle of a transaction of which a part is already in the file.
KILLED_WRITER = """
import os, signal, sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None)
store.execute("CREATE TABLE experiments (name TEXT)")
store.execute("PRAGMA cache_size = 1")
store.execute("BEGIN IMMEDIATE")
for _ in range(1000):
    store.execute("INSERT INTO experiments VALUES (hex(randomblob(1000)))")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_store_whose_writer_was_killed_is_one(tmp_path: Path) -> None:
    store = tmp_path / "mlflow.db"
    subprocess.run([sys.executable, "-c", KILLED_WRITER, str(store)])
    assert store.with_name("mlflow.db-journal").is_file()
    check_reachable(f"sqlite:///{store}", must_exist=True)


def test_a_store_that_cannot_be_written_to_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite3.connect(tmp_path / "mlflow.db").close()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # nobody refuses root
    check_reachable(f"sqlite:///{tmp_path}/mlflow.db", must_exist=True)
    with pytest.raises(TrackingError, match=r"mlflow.db cannot be written to; correct its permissions"):
        check_reachable(f"sqlite:///{tmp_path}/mlflow.db", to_write=True)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_says_it_and_makes_nothing(here: Project, command: tuple[str, ...]) -> None:
    before = {path.name for path in here.root.iterdir()}
    assert NO_ADDRESS in here.refused_here(*command, MLFLOW_TRACKING_URI="./mlruns")
    said = here.refused_here(*command, MLFLOW_TRACKING_URI="sqlite:///mistyped.db")
    assert "does not exist; a training creates it" in said
    assert {path.name for path in here.root.iterdir()} - before <= {"cache", "state"}


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["evaluate", "register"])
def test_a_stage_asks_the_server_first(here: Project, stage: str) -> None:
    dataset, method = "mixed_scenes", "sge_net"
    run = RunPaths(dataset, method)
    model, evaluation, segmenter = (
        here.root / folder for folder in (run.model, run.evaluation, DatasetPaths(dataset).segmenter)
    )
    for folder in (model, evaluation, segmenter):
        folder.mkdir(parents=True)
    SegmenterManifest().write(segmenter)
    (model / "model.safetensors").touch()
    facts = {"dataset": dataset, "run_id": "0" * 32, "run_key": "key", "steps": 1, "digests": {}}
    (model / "training.json").write_text(json.dumps(facts))
    digests = dict.fromkeys(("shards_digest", "masks_digest", "code_digest"), "digest")
    scored = {**digests, "weights_sha256": sha256_of_file(model / "model.safetensors")}
    (evaluation / "evaluation.json").write_text(json.dumps(scored))
    (evaluation / "metrics.json").write_text("{}")

    # MLflow itself would try again and again, for minutes.
    ended = here.run(
        stage,
        *("--dataset", dataset, "--method", method),
        timeout=60,
        MLFLOW_TRACKING_URI="http://127.0.0.1:1",
    )
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith("error: no tracking server answers at http://127.0.0.1:1 (")
    assert len(ended.stderr.splitlines()) == 1
