"""Logging to a run by its id, in any process: a training step never waits for the tracking server."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import mlflow
import numpy as np
import numpy.typing as npt
from mlflow.entities import Metric
from mlflow.exceptions import MlflowException
from mlflow.utils.async_logging.run_operations import RunOperations

from pipelines.tracking.address import open_client, store_errors, tracking_uri, without_secrets

_METRICS_PER_REQUEST = 1000
_IMAGE_NAME = re.compile(r"(?P<key>.+?)[+%]step[+%](?P<step>\d+)[+%].*\.png")


class RunLogger:
    """Logs to one run.

    Metrics of a training go through MLflow's asynchronous logging and images through a thread; MLflow retries each
    request for about a minute. What is lost because the server was away for longer is logged at the end of the run
    from the history in the checkpoints, see :meth:`log_missing`. Everything else is logged at once, or raises a
    TrackingError.

    Args:
        run_id: of a run that exists.
        address: of the tracking store; by default what :func:`tracking_uri` says in this process. Pass it
            on to workers, whose working folder may be another.
    """

    def __init__(self, run_id: str, address: str | None = None) -> None:
        self.run_id = run_id
        self.address = address or tracking_uri()
        self._client = open_client(self.address)
        self._last_steps: dict[str, int] = {}
        self._sent: list[RunOperations] = []
        self._images = ThreadPoolExecutor(max_workers=1, thread_name_prefix="images")
        self._image_results: list[Future[None]] = []

    def __enter__(self) -> RunLogger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def skip_logged_steps(self) -> None:
        """Leave out, from now on, the steps of metrics and images that the run holds already.

        MLflow keeps every point it is given, and a resumed training repeats the steps after its last checkpoint.
        """
        with suppress(MlflowException):  # the server is away: these steps may be there twice
            for key in self._client.get_run(self.run_id).data.metrics:
                if not key.startswith("system/"):
                    self._last_steps[key] = max(self._steps(key))
            for name in (Path(file.path).name for file in self._client.list_artifacts(self.run_id, "images")):
                if match := _IMAGE_NAME.fullmatch(name):
                    self._last_steps[match["key"]] = max(int(match["step"]), self._last_steps.get(match["key"], -1))

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Log named values of a step, asynchronously."""
        points = [
            Metric(key, float(value), _now(), step)
            for key, value in values.items()
            if step > self._last_steps.get(key, -1)
        ]
        if points and (sent := self._client.log_batch(self.run_id, metrics=points, synchronous=False)):
            self._sent.append(sent)

    def image(self, pixels: npt.NDArray[np.uint8], key: str, step: int) -> None:
        """Log an image (H, W, 3) under a key, at a step, asynchronously: a slider in the UI."""
        if step > self._last_steps.get(key, -1):
            log = self._client.log_image
            self._image_results.append(self._images.submit(log, self.run_id, pixels, key=key, step=step))

    def log_missing(self, rows: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Log what the run lacks of a training's history: steps and their named values."""
        history: dict[str, dict[int, float]] = {}
        for step, values in rows:
            for key, value in values.items():
                history.setdefault(key, {})[step] = value
        missing: list[Metric] = []
        with store_errors(f"the metrics of run {self.run_id} cannot be completed", self.address):
            for key, points in history.items():
                held = self._steps(key)
                missing += [Metric(key, value, _now(), step) for step, value in points.items() if step not in held]
            for start in range(0, len(missing), _METRICS_PER_REQUEST):
                batch = missing[start : start + _METRICS_PER_REQUEST]
                self._client.log_batch(self.run_id, metrics=batch, synchronous=True)

    def results(self, values: Mapping[str, float], step: int) -> None:
        """Log named values, also of a step that the run holds already: the latest evaluation counts, once."""
        with store_errors(f"the results of run {self.run_id} cannot be logged", self.address):
            held = self._client.get_run(self.run_id).data.metrics
            points = [
                Metric(key, float(value), _now(), step) for key, value in values.items() if held.get(key) != value
            ]
            if points:
                self._client.log_batch(self.run_id, metrics=points, synchronous=True)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Upload a file, or a folder under its name, below ``folder`` of the run's artifacts."""
        with store_errors(f"{path} cannot be kept with run {self.run_id}", self.address):
            self._client.log_artifact(self.run_id, str(path), folder)

    def text(self, content: str, name: str) -> None:
        """Store a text as an artifact."""
        with store_errors(f"{name} cannot be kept with run {self.run_id}", self.address):
            self._client.log_text(self.run_id, content, name)

    def close(self) -> None:
        """Wait for pending logs, and warn about those that failed."""
        if self._sent:
            mlflow.flush_async_logging()
        self._images.shutdown()
        waits = [sent.wait for sent in self._sent] + [result.result for result in self._image_results]
        lost = sum(_fails(wait) for wait in waits)
        self._sent, self._image_results = [], []
        if lost:
            print(
                f"warning: the tracking store {without_secrets(self.address)} could not be reached; {lost} log "
                f"requests of run {self.run_id} failed. Metrics are logged again at the end of the run, images are not",
                file=sys.stderr,
                flush=True,
            )

    def _steps(self, key: str) -> set[int]:
        return {metric.step for metric in self._client.get_metric_history(self.run_id, key)}


def _fails(wait: Any) -> bool:
    try:
        wait()
    except Exception:
        return True
    return False


def _now() -> int:
    """Milliseconds since 1970."""
    return int(1000 * time.time())
