"""Writing to a run by its id: works in any thread and any process, whether or not the store can be reached."""

from __future__ import annotations

import atexit
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.tracking.address import open_client, tracking_uri, without_secrets
from pipelines.tracking.delivery import Delivery, now
from pipelines.tracking.driver import this_driver
from pipelines.tracking.patience import PATIENCE_SECONDS
from pipelines.tracking.spool import Record, Spool, left_behind, new_spool


class RunLogger:
    """Logs to one run, each step of a metric or picture once, also when a training is resumed.

    Nothing here waits for the store. What is logged is written to a spool on this machine's disk and sent from
    there in order by a thread, as soon as the store takes it; :meth:`close` waits for that, up to a bound. What is
    left then, or left by a process that was killed, is sent by the next command that uses the store on this machine.

    A resumed training repeats the steps between its last checkpoint and the moment it was lost.
    MLflow keeps every point it is given, so what the run holds already is left out: of each
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
        # Thread and spool begin with the first record: decoding processes are forked before, and inherit neither.
        self._starting = threading.Lock()
        self._spool: Spool | None = None
        self._delivery: Delivery | None = None
        self._num_lost = 0

    def __enter__(self) -> RunLogger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Log named values of one step; values of steps logged before are left out."""
        self._log_values(values, step, once=True)

    def results(self, values: Mapping[str, float], step: int) -> None:
        """Log named values whatever the run holds: the latest evaluation counts, also of the same step."""
        self._log_values(values, step, once=False)

    def _log_values(self, values: Mapping[str, float], step: int, *, once: bool) -> None:
        numbers = {key: float(value) for key, value in values.items()}
        self._append({"kind": "metrics", "values": numbers, "step": step, "time": now(), "once": once})

    def image(self, picture: npt.NDArray[np.uint8], key: str, step: int) -> None:
        """Log a picture (H, W, 3) uint8 under a key, at a step, as a slider in the UI."""

        def keep(spool: Spool) -> Record:
            path = spool.new_folder() / "picture.npy"
            np.save(path, picture)
            return {"kind": "picture", "key": key, "step": step, "time": now(), "file": _within(path, spool)}

        self._append_with(keep)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Upload a copy of a file or a folder, below ``folder`` of the run's artifacts."""

        def keep(spool: Spool) -> Record:
            copy = spool.new_folder() / path.resolve().name
            if path.is_dir():
                shutil.copytree(path, copy)
            else:
                shutil.copyfile(path, copy)
            return {"kind": "artifact", "file": _within(copy, spool), "folder": folder}

        self._append_with(keep)

    def dict(self, content: Mapping[str, Any], name: str) -> None:
        """Store a mapping as an artifact, in the format that the name's ending says (.json, .yaml)."""
        self._append({"kind": "dict", "content": {**content}, "name": name})

    def end(self, status: str) -> None:
        """Set the run's status and end time after all that was logged before, also by workers that are gone."""
        self._append_with(lambda spool: self._ended(status))

    def _ended(self, status: str) -> Record:
        assert self._delivery is not None
        for spool in left_behind(self.address, self.run_id):
            self._delivery.add(spool)
        return {"kind": "end", "status": status, "time": now(), "driver": this_driver()}

    def flush(self, seconds: float = PATIENCE_SECONDS) -> bool:
        """Wait until everything is sent; False when the time is over first."""
        return self._delivery is None or self._delivery.wait(seconds)

    def close(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Send what is left, for as long as given, and say where it is kept if the store stays away.

        Logging again opens a new spool.
        """
        with self._starting:
            spool, delivery = self._spool, self._delivery
            self._spool = self._delivery = None
        if spool is None or delivery is None:
            return
        atexit.unregister(self.close)
        sent = delivery.wait(seconds)
        delivery.close()
        if not sent:
            _say(
                f"the tracking store {without_secrets(self.address)} is still away; what it lacks of run {self.run_id} "
                f"is kept in {spool.folder.parent} and sent by the next command that uses the store on this machine"
            )
        if self._num_lost:
            _say(f"{self._num_lost} records of run {self.run_id} were lost")

    def _append(self, record: Record) -> None:
        self._append_with(lambda spool: record)

    def _append_with(self, keep: Callable[[Spool], Record]) -> None:
        try:
            spool, delivery = self._started()
            spool.append(keep(spool))
            delivery.wake()
        except OSError as error:
            # Tracking must not end a training.
            if self._num_lost == 0:
                _say(f"what run {self.run_id} logs cannot be kept ({error}); free some space, or set XDG_STATE_HOME")
            self._num_lost += 1

    def _started(self) -> tuple[Spool, Delivery]:
        with self._starting:
            if self._spool is None or self._delivery is None:
                older = list(left_behind(self.address, self.run_id))
                self._spool = new_spool(self.address, self.run_id)
                self._delivery = Delivery(open_client(self.address), self.run_id, [*older, self._spool])
                # Where close was forgotten, the process still gives what it logged a moment.
                atexit.register(self.close, 5.0)
            return self._spool, self._delivery


def _within(path: Path, spool: Spool) -> str:
    return path.relative_to(spool.folder).as_posix()


def _say(sentence: str) -> None:
    print(f"warning: {sentence}", file=sys.stderr, flush=True)
