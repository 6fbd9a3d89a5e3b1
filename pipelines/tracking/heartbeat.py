"""A heartbeat while a run is driven, and an end for runs whose driver is gone."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

import psutil
from mlflow import MlflowClient
from mlflow.entities import Run

from pipelines.tracking.address import open_client

HEARTBEAT_TAG = "heartbeat"
"""When the driver of a run was last seen, its machine and its process id."""

SILENT = timedelta(minutes=10)
"""A driver on another machine that was not heard of for so long is gone."""

_SECONDS = 30.0
_PARENT_TAG = "mlflow.parentRunId"


def heartbeat_tag() -> dict[str, str]:
    """The tag of a run that this process drives."""
    return {HEARTBEAT_TAG: f"{datetime.now(UTC).isoformat(timespec='seconds')} {socket.gethostname()} {os.getpid()}"}


@contextmanager
def heartbeat(address: str, run_id: str) -> Iterator[None]:
    """Renew the tag in a thread until the block ends. A run that was closed meanwhile is RUNNING again."""
    over = threading.Event()
    client = open_client(address)

    def beat() -> None:
        while not over.wait(_SECONDS):
            # While the server is away there is nothing to say; MLflow tells what it raises in many ways.
            with suppress(Exception):
                client.set_tag(run_id, HEARTBEAT_TAG, heartbeat_tag()[HEARTBEAT_TAG], synchronous=True)
                if not over.is_set() and client.get_run(run_id).info.status != "RUNNING":
                    client.update_run(run_id, status="RUNNING")

    threading.Thread(target=beat, name="heartbeat", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def close_abandoned_runs(client: MlflowClient, experiment_id: str) -> None:
    """Close the runs of an experiment that are RUNNING though their driver is gone, as KILLED at its last heartbeat.

    The runs of a search's trials end with that of the search.
    """
    running = client.search_runs([experiment_id], "attributes.status = 'RUNNING'")
    last_seen = {run.info.run_id: seen for run in running if (seen := _last_seen_of_lost_driver(run))}
    for run in running:
        seen = last_seen.get(run.info.run_id) or last_seen.get(run.data.tags.get(_PARENT_TAG, ""))
        if seen:
            client.set_terminated(run.info.run_id, "KILLED", int(1000 * seen.timestamp()))


def _last_seen_of_lost_driver(run: Run) -> datetime | None:
    """None for a driver that lives, or a run of somebody else."""
    try:
        time, machine, pid = run.data.tags.get(HEARTBEAT_TAG, "").split()
        seen = datetime.fromisoformat(time)
        ended_here = machine == socket.gethostname() and not psutil.pid_exists(int(pid))
        lost = ended_here or datetime.now(UTC) - seen > SILENT
    except ValueError:
        return None
    return seen if lost else None
