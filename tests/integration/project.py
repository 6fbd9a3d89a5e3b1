"""A folder as a user has it after the demo, and commands typed there: each a process of its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow_store import make_store
from PIL import Image
from promotion_world import LEVELS

from pipelines.__main__ import main

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]
_SET_BY_A_USER = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "RAY_ADDRESS")
VERSIONS = LEVELS[:2]
"""The grey values that versions 1 and 2 paint."""


@dataclass(frozen=True)
class Project:
    """A working folder with settings, prepared data, and a model's versions in the embedded store.

    Nothing is promoted, and nothing but :meth:`run` writes into it; a test that changes the registry copies it.

    Attributes:
        root: holds ``params.yaml``, ``photo.png`` and ``hole.png``.
    """

    root: Path

    def environment(self, **changes: str) -> dict[str, str]:
        """What a fresh shell has: nothing set that names a store or a cluster."""
        kept = {name: value for name, value in os.environ.items() if name not in _SET_BY_A_USER}
        return kept | self._places() | {"PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"} | changes

    def _places(self) -> dict[str, str]:
        return {"XDG_CACHE_HOME": str(self.root / "cache"), "XDG_STATE_HOME": str(self.root / "state")}

    def run(self, *arguments: str, timeout: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
        """Type ``python -m pipelines`` with arguments here.

        Args:
            environment: variables that are set in this shell.
        """
        return subprocess.run(
            [sys.executable, "-m", "pipelines", *arguments],
            cwd=self.root,
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def done(self, *arguments: str, **environment: str) -> str:
        """The same, of a command that must succeed; what it printed."""
        ended = self.run(*arguments, **environment)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout + ended.stderr

    def refused(self, *arguments: str, **environment: str) -> str:
        """The same, of one that must end with status 2 and one sentence, which is returned."""
        ended = self.run(*arguments, **environment)
        assert ended.returncode == 2, ended.stdout + ended.stderr
        sentence = ended.stderr.strip().splitlines()[-1]
        assert sentence.startswith("error: "), ended.stderr
        assert "Traceback" not in ended.stderr, ended.stderr
        return sentence

    def done_here(self, *arguments: str, **environment: str) -> str:
        """:meth:`done` without a process of its own, which takes seconds to import what the command needs."""
        status, printed, said = self._run_here(arguments, environment)
        assert status == 0, printed + said
        return printed + said

    def refused_here(self, *arguments: str, **environment: str) -> str:
        """:meth:`refused`, likewise."""
        status, _, said = self._run_here(arguments, environment)
        assert status == 2, said
        sentence = said.strip().splitlines()[-1]
        assert sentence.startswith("error: "), said
        return sentence

    def _run_here(self, arguments: tuple[str, ...], environment: dict[str, str]) -> tuple[int, str, str]:
        """The status, and what was written to standard output and error."""
        printed, said = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(said):
            patch.chdir(self.root)
            for name in _SET_BY_A_USER:
                patch.delenv(name, raising=False)
            for name, value in (self._places() | environment).items():
                patch.setenv(name, value)
            return main(list(arguments)), printed.getvalue(), said.getvalue()

    def write_images(self) -> None:
        """Write a photo and the hole in it."""
        Image.new("RGB", (48, 36), (60, 90, 120)).save(self.root / "photo.png")
        hole = Image.new("L", (48, 36))
        hole.paste(255, (16, 12, 32, 24))
        hole.save(self.root / "hole.png")


def make_project(root: Path) -> Project:
    """Prepare, train (so to speak), evaluate and register below a folder, in a process of its own."""
    project = Project(root)
    code = f"from pathlib import Path; from promotion_world import make_world; make_world(Path.cwd(), {VERSIONS})"
    environment = project.environment(PYTHONPATH=os.pathsep.join([str(_ROOT), str(_HERE)]))
    make_store(root / "mlflow")
    subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, check=True, timeout=600)
    project.write_images()
    return project
