"""A Git repository with DVC, and commands typed there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def make_repository(root: Path) -> None:
    """Of a folder with files in it; nothing is committed yet."""
    run(root, "git", "init", "--quiet")
    run(root, "dvc", "init", "--quiet")


def commit(root: Path) -> None:
    """Commit all that is there."""
    run(root, "git", "add", "--all")
    run(root, "git", "commit", "--quiet", "--message", "One more")


def run(root: Path, *command: str) -> str:
    """What a command prints that must succeed, whatever this machine has set for Git, DVC and MLflow."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW", "DVC", "GIT"))}
    identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    settings = {"PATH": path, "PYTHONPATH": str(ROOT), "GIT_CONFIG_GLOBAL": os.devnull, "DVC_NO_ANALYTICS": "true"}
    printed, said = root.with_name("printed.txt"), root.with_name("said.txt")
    # Into files: DVC's worker of the queue outlives the command and would hold pipes open.
    with printed.open("w") as out, said.open("w") as err:
        ended = subprocess.run(command, cwd=root, env=kept | identity | settings, stdout=out, stderr=err, timeout=300)
    assert ended.returncode == 0, printed.read_text() + said.read_text(errors="replace")
    return printed.read_text()
