"""``python -m pipelines train`` of the tiny dataset, run and disturbed as a process of its own."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from mlflow_store import make_store
from tiny import DATASET, METHOD, tiny_settings

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ("-m", "pipelines", "train", "--dataset", DATASET, "--method", METHOD)


def make_workspace(folder: Path, dataset: Path, storage: str, run: Mapping[str, Any], **training: Any) -> Path:
    """A folder to run the command in: ``params.yaml``, and the data where the stages before would leave them.

    Args:
        dataset: of :func:`tiny.make_dataset`.
        run: the settings of this name.
        training: of the recipe.
    """
    settings = tiny_settings(dataset, Path("unused"), **training).model_dump(mode="json")
    settings |= {"storage": storage, "run": {"cpus_per_worker": 1, "cache": {"folder": str(folder / "cache")}, **run}}
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    make_store(folder)
    with contextlib.suppress(FileExistsError):
        (folder / "data" / DATASET).symlink_to(dataset)
    return folder


def result_of(workspace: Path) -> dict[str, bytes]:
    """What a finished training left: the weights, and every loss and score of its history, once each."""
    model = workspace / "runs" / DATASET / METHOD / "model"
    return {name: (model / name).read_bytes() for name in ("model.safetensors", "losses.csv", "validation.csv")}


@dataclass
class Training:
    """The running command, its output line by line."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)
    _coming: queue.Queue[str | None] = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def output(self) -> str:
        """What was looked at so far."""
        return "".join(self.lines)

    def wait_for(self, text: str, seconds: float = 300.0) -> str:
        """The next line with this text."""
        deadline = time.monotonic() + seconds
        while True:
            line = self._next(deadline)
            assert line is not None, f"it ended without {text!r}:\n{self.output}"
            if text in line:
                return line

    def finish(self, seconds: float = 400.0) -> str:
        """Its whole output, once it has ended well."""
        deadline = time.monotonic() + seconds
        while self._next(deadline) is not None:
            pass
        assert self.process.wait(60) == 0, self.output
        return self.output

    def kill(self) -> None:
        """SIGKILL to it and to what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _next(self, deadline: float) -> str | None:
        try:
            line = self._coming.get(timeout=max(deadline - time.monotonic(), 0.1))
        except queue.Empty:
            raise AssertionError(f"nothing came for too long:\n{self.output}") from None
        if line is not None:
            self.lines.append(line)
        return line

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._coming.put(line)
        self._coming.put(None)


def start_training(workspace: Path, environment: Mapping[str, str]) -> Training:
    """The command in a workspace, tracked in a file there unless the environment says otherwise."""
    tracking = {"MLFLOW_TRACKING_URI": f"sqlite:///{workspace / 'mlflow.db'}"}
    process = subprocess.Popen(
        [sys.executable, *COMMAND],
        cwd=workspace,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PYTHONPATH": str(ROOT), **tracking, **environment},
        start_new_session=True,
    )
    return Training(process)
