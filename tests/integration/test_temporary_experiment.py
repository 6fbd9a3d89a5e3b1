"""Experiments of DVC that run in a temporary copy of the repository are tracked in the repository's one store."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from repository import commit, make_repository, run

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
    make_repository(root)
    commit(root)
    run(root, "dvc", "exp", "run", kind, "--name", "tried", "--set-param", "steps=2")
    if kind == "--queue":
        run(root, "dvc", "exp", "run", "--run-all")
    run(root, "dvc", "exp", "apply", "tried")
    store, shown, folder = (root / "store.txt").read_text().splitlines()
    assert store == f"sqlite:///{root}/mlflow/mlflow.db"
    assert shown == "sqlite:///mlflow/mlflow.db"
    assert folder != str(root)
