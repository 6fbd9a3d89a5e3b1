"""What the demo says to type next works in a fresh shell: no variable set, nothing left beside ``mlflow/``."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from free_port import free_port
from PIL import Image
from project import VERSIONS, Project

pytestmark = pytest.mark.slow


def test_the_registered_model_is_used_promoted_exported_and_rolled_back(project: Project) -> None:
    worse, better = VERSIONS
    before = {path.name for path in project.root.iterdir()}
    assert painted(project, project.done_here, "--model", "candidate") == better

    printed = project.done_here("promote", "--challenger", "1")
    assert "promoted: version 1" in printed
    assert "`--model shipped` names that one" in " ".join(printed.split())
    assert painted(project, project.done_here) == worse
    assert "promoted: version 2" in project.done("promote")
    assert painted(project, project.done_here) == better
    assert "version 2 is champion" in project.done_here("history")
    assert "equal to the model" in project.done_here("export", "-o", "model.onnx")
    assert "version 1" in project.done_here("rollback", "--reason", "a test")
    assert painted(project, project.done) == worse
    with page(project) as address, urllib.request.urlopen(address, timeout=60) as answer:
        assert answer.status == 200

    made = {path.name for path in project.root.iterdir()} - before
    # Where the user's cache is, in this test: fonts of Matplotlib, models.
    assert made - {"cache"} == {"filled.png", "model.onnx"}
    assert {"mlflow.db", "mlruns"}.isdisjoint(before)


def painted(project: Project, run: Callable[..., str], *options: str) -> int:
    """The grey value that the model puts into the hole, where ``run`` is how the command is run."""
    command = ("inpaint", "photo.png", "--mask", "hole.png", "-o", "filled.png", "--texture", "network")
    run(*command, *options)
    pixels = np.asarray(Image.open(project.root / "filled.png"))[14:22, 18:30]
    return round(float(pixels.mean()))


@contextmanager
def page(project: Project) -> Iterator[str]:
    """The web page's address, while it is served."""
    command = [sys.executable, "-m", "pipelines", "app", "--port", str(free_port())]
    with subprocess.Popen(
        command, cwd=project.root, env=project.environment(), stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None
            yield next(line.split()[3] for line in server.stdout if line.startswith("fill holes at"))
        finally:
            server.terminate()
