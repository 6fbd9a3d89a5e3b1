"""Experiments of DVC that run in a temporary copy of the repository are tracked in the repository's one store."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STAGE = """
stages:
  train:
    cmd: {python} stage.py
    params: [steps]
    outs: [store.txt: {{cache: false}}]
"""
SCRIPT = """
from pathlib import Path
from pipelines.tracking.address import tracking_uri, without_secrets
Path("store.txt").write_text(f"{tracking_uri()}\\n{without_secrets(tracking_uri())}\\n{Path.cwd()}")
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["--temp", "--queue"])
def test_an_experiment_elsewhere_has_the_repository_s_store(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "repository"
    root.mkdir()
    (root / "dvc.yaml").write_text(STAGE.format(python=sys.executable))
    (root / "stage.py").write_text(SCRIPT)
    (root / "params.yaml").write_text("steps: 1\n")
    run(root, "git", "init", "--quiet")
    dvc(root, "init", "--quiet")
    run(root, "git", "add", "--all")
    run(root, "git", "commit", "--quiet", "--message", "first")
    dvc(root, "exp", "run", kind, "--name", "tried", "--set-param", "steps=2")
    if kind == "--queue":
        dvc(root, "exp", "run", "--run-all")
    dvc(root, "exp", "apply", "tried")
    store, shown, folder = (root / "store.txt").read_text().splitlines()
    assert store == f"sqlite:///{root}/mlflow/mlflow.db"
    assert shown == "sqlite:///mlflow/mlflow.db"
    assert folder != str(root)


def dvc(root: Path, *arguments: str) -> None:
    run(root, str(Path(sys.executable).with_name("dvc")), *arguments)


def run(root: Path, *command: str) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in ("MLFLOW_TRACKING_URI", "DVC_ROOT")}
    identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = kept | identity | {"PYTHONPATH": str(ROOT), "DVC_NO_ANALYTICS": "true"}
    # Into a file: DVC's worker of the queue outlives the command and would hold a pipe open.
    said = root.parent / "said.txt"
    with said.open("w") as file:
        ended = subprocess.run(command, cwd=root, env=environment, stdout=file, stderr=file, timeout=120, check=False)
    assert ended.returncode == 0, said.read_text(errors="replace")
