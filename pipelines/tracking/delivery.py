"""Sending a run's records to the tracking store: in order, each once, whenever the store is there."""

from __future__ import annotations

import re
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.tracking.multimedia import compress_image_size
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_IMAGES
from PIL import Image

from pipelines.tracking.driver import DRIVER_TAG
from pipelines.tracking.patience import passes, pauses
from pipelines.tracking.spool import Record, Spool

_METRICS_PER_REQUEST = 1000  # what a server takes
_RECORDS_AT_ONCE = 200
_LOOK_EVERY = 0.02
_IMAGE_NAME = re.compile(r"(?P<key>.+?)[+%]step[+%](?P<step>\d+)[+%]timestamp")


class Delivery:
    """Sends what spools hold for one run, in a thread of its own.

    A request that was lost on its way back may have been obeyed, and is sent again all the same: points carry the
    time at which they were recorded and files a name that follows from what they are, so that the store keeps one.

    Args:
        client: of the store.
        run_id: of the run.
        spools: oldest first; the last one may still grow.
    """

    def __init__(self, client: MlflowClient, run_id: str, spools: Sequence[Spool]) -> None:
        self.num_refused = 0
        self._client, self._run_id, self._spools = client, run_id, list(spools)
        self._last_steps: dict[str, int] = {}
        self._keys_before: frozenset[str] | None = None
        self._wanted, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that a spool has grown."""
        self._wanted.set()

    def add(self, spool: Spool) -> None:
        """Send an older spool too, before the one that still grows."""
        self._spools.insert(len(self._spools) - 1, spool)
        self.wake()

    def wait(self, seconds: float) -> bool:
        """Wait until everything is sent; False when the time is over first."""
        until = time.monotonic() + seconds
        while not all(spool.is_empty for spool in self._spools):
            if time.monotonic() > until:
                return False
            time.sleep(_LOOK_EVERY)
        return True

    def close(self) -> None:
        """End the thread after the request it is at, and give up the spools; what was sent is removed."""
        self._stopping.set()
        self._wanted.set()
        self._thread.join(timeout=1)
        for spool in self._spools:
            spool.close()

    def _run(self) -> None:
        pause = pauses()
        while not self._stopping.is_set():
            self._wanted.clear()
            try:
                self._send_all()
            except Exception as error:
                if self._stopping.is_set():
                    return
                if not passes(error):
                    self._refuse(error)
                    continue
                # Not cut short by new records: each would be one more request to a server that is away.
                self._stopping.wait(next(pause))
                self._wanted.set()
                continue
            pause = pauses()
            self._wanted.wait()

    def _send_all(self) -> None:
        for spool in list(self._spools):
            while (waiting := spool.waiting(_RECORDS_AT_ONCE)) and not self._stopping.is_set():
                if waiting[0][0]["kind"] == "metrics":
                    position = self._send_metrics(waiting)
                else:
                    record, position = waiting[0]
                    self._send_one(spool, record)
                spool.done(position)
                spool.forget_files(waiting[0][0])

    def _refuse(self, error: Exception) -> None:
        """Leave out the first record: the store will never take it, and those after it must not wait for ever."""
        spool = next(spool for spool in self._spools if not spool.is_empty)
        record, position = spool.waiting(1)[0]
        reason = " ".join(str(error).split())[:200]
        print(f"warning: the tracking store refuses a record ({record['kind']}): {reason}", file=sys.stderr, flush=True)
        spool.done(position)
        self.num_refused += 1

    def _send_metrics(self, waiting: list[tuple[Record, int]]) -> int:
        """Send the metrics at the beginning of the queue in one request; the position after them."""
        points: list[Metric] = []
        last_steps: dict[str, int] = {}
        after = 0
        for record, position in waiting:
            if record["kind"] != "metrics":
                break
            step = record["step"]
            new = {
                key: value
                for key, value in record["values"].items()
                if not record["once"] or step > last_steps.get(key, self._last_step(key))
            }
            if points and len(points) + len(new) > _METRICS_PER_REQUEST:
                break
            points += [Metric(key, value, record["time"], step) for key, value in new.items()]
            last_steps |= dict.fromkeys(new, step)
            after = position
        if points:
            self._client.log_batch(self._run_id, metrics=points, synchronous=True)
        self._last_steps |= last_steps
        return after

    def _last_step(self, key: str) -> int:
        """The last step of a metric that the run held before this process sent any."""
        if self._keys_before is None:
            self._keys_before = frozenset(self._client.get_run(self._run_id).data.metrics)
        if key not in self._last_steps:
            history = self._client.get_metric_history(self._run_id, key) if key in self._keys_before else []
            self._last_steps[key] = max((metric.step for metric in history), default=-1)
        return self._last_steps[key]

    def _send_one(self, spool: Spool, record: Record) -> None:
        match record["kind"]:
            case "picture":
                self._send_picture(np.load(spool.folder / record["file"], allow_pickle=False), record)
            case "artifact":
                self._client.log_artifact(self._run_id, str(spool.folder / record["file"]), record["folder"])
            case "dict":
                self._client.log_dict(self._run_id, record["content"], record["name"])
            case "end":
                # Another driver may have taken the run over while this record waited.
                if self._client.get_run(self._run_id).data.tags.get(DRIVER_TAG) == record["driver"]:
                    self._client.set_terminated(self._run_id, record["status"], record["time"])

    def _send_picture(self, pixels: np.ndarray, record: Record) -> None:
        """What ``MlflowClient.log_image`` does, under a name that is the same at every attempt."""
        key, step = record["key"], record["step"]
        if (key, step) in self._logged_pictures():
            return
        unique = uuid.uuid5(uuid.NAMESPACE_URL, f"{self._run_id}/{key}/{step}")
        name = f"{key.replace('/', '~')}+step+{step}+timestamp+{record['time']}+{unique}"
        picture = Image.fromarray(pixels)
        with tempfile.TemporaryDirectory() as folder:
            # The small one first: the large one's presence says that both are there.
            small, large = Path(folder, f"{name}+compressed.webp"), Path(folder, f"{name}.png")
            compress_image_size(picture).save(small)
            picture.save(large)
            for path in (small, large):
                self._client.log_artifact(self._run_id, str(path), "images")
        self._client.set_tag(self._run_id, MLFLOW_LOGGED_IMAGES, "True", synchronous=True)

    def _logged_pictures(self) -> set[tuple[str, int]]:
        names = (Path(file.path).name for file in self._client.list_artifacts(self._run_id, "images"))
        matches = (_IMAGE_NAME.match(name) for name in names if name.endswith(".png"))
        return {(match["key"].replace("~", "/"), int(match["step"])) for match in matches if match}


def now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return int(time.time() * 1000)
