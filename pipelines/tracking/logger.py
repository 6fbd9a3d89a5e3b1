"""Writing to a run by its id: works in any thread and any process that can reach the store."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mlflow import MlflowClient
from mlflow.entities import Metric

from pipelines.tracking.address import tracking_uri

_IMAGE_NAME = re.compile(r"(?P<key>.+?)[+%]step[+%](?P<step>\d+)[+%]timestamp")


class RunLogger:
    """Logs to one run, each step of a metric or picture once, also when a training is resumed.

    A resumed training repeats the steps between its last checkpoint and the moment it was lost.
    MLflow keeps every point it is given, so what the run holds already is left out here: of each
    metric, steps up to the last one logged; of each picture, steps that exist. Steps of a metric
    must therefore rise.

    Args:
        run_id: of a run that exists.
        address: of the tracking store; by default what :func:`tracking_uri` says in this process. Pass it
            on to workers, whose working folder may be another.
    """

    def __init__(self, run_id: str, address: str | None = None) -> None:
        self.run_id = run_id
        self.address = address or tracking_uri()
        self._client = MlflowClient(self.address)
        self._keys_before = frozenset(self._client.get_run(run_id).data.metrics)
        self._last_steps: dict[str, int] = {}
        self._pictures: set[tuple[str, int]] | None = None

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Log named values of one step in one request; values of steps logged before are left out."""
        new = {key: value for key, value in values.items() if step > self._last_step(key)}
        if new:
            self.results(new, step)

    def results(self, values: Mapping[str, float], step: int) -> None:
        """Log named values whatever the run holds: the latest evaluation counts, also of the same step."""
        timestamp = int(time.time() * 1000)
        points = [Metric(key, float(value), timestamp, step) for key, value in values.items()]
        self._client.log_batch(self.run_id, metrics=points, synchronous=True)
        self._last_steps.update(dict.fromkeys(values, step))

    def image(self, picture: npt.NDArray[np.uint8], key: str, step: int) -> None:
        """Log a picture (H, W, 3) uint8 under a key, at a step, as a slider in the UI."""
        if self._pictures is None:
            self._pictures = self._logged_pictures()
        if (key, step) in self._pictures:
            return
        self._client.log_image(self.run_id, picture, key=key, step=step, synchronous=True)
        self._pictures.add((key, step))

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Upload a file or a folder, below ``folder`` of the run's artifacts."""
        self._client.log_artifact(self.run_id, str(path), folder)

    def dict(self, content: Mapping[str, Any], name: str) -> None:
        """Store a mapping as an artifact, in the format that the name's ending says (.json, .yaml)."""
        self._client.log_dict(self.run_id, {**content}, name)

    def _last_step(self, key: str) -> int:
        if key not in self._last_steps:
            history = self._client.get_metric_history(self.run_id, key) if key in self._keys_before else []
            self._last_steps[key] = max((metric.step for metric in history), default=-1)
        return self._last_steps[key]

    def _logged_pictures(self) -> set[tuple[str, int]]:
        names = (Path(file.path).name for file in self._client.list_artifacts(self.run_id, "images"))
        matches = (_IMAGE_NAME.match(name) for name in names)
        return {(match["key"].replace("~", "/"), int(match["step"])) for match in matches if match}
