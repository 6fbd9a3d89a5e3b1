"""Who drives a run: a sign of life while it is driven, and an end for runs whose driver is gone."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil
from mlflow import MlflowClient
from mlflow.entities import Run

DRIVER_TAG = "sgenet.driver"
"""The process that drives the run: machine, process id and when it started."""
ALIVE_TAG = "sgenet.alive"
"""When the driver last said that it lives, in seconds since 1970."""

_PARENT_TAG = "mlflow.parentRunId"

BEAT_SECONDS = 30.0
SILENT_SECONDS = 600.0
"""A driver on another machine that said nothing for so long is gone."""


def this_driver() -> str:
    """This process, told apart from every other one that ever had its number."""
    process = psutil.Process()
    return json.dumps({"machine": _machine(), "pid": process.pid, "started": process.create_time()})


@cache
def _machine() -> str:
    """The host since it was started, and which processes of it this one can see (a container sees its own)."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    space = Path("/proc/self/ns/pid")
    parts = [socket.gethostname()]
    parts += [boot.read_text().strip()] if boot.exists() else []
    parts += [str(space.readlink())] if space.exists() else []
    return " ".join(parts)


@contextmanager
def signs_of_life(client: MlflowClient, run_id: str) -> Iterator[None]:
    """Say now and then that the run is driven, in a thread, until the block ends."""
    over = threading.Event()
    thread = threading.Thread(target=_beat, args=(client, run_id, over), name="signs of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=1)


def driver_tags() -> dict[str, str]:
    """The tags of a run that this process drives from now on."""
    return {DRIVER_TAG: this_driver(), ALIVE_TAG: str(int(time.time()))}


def _beat(client: MlflowClient, run_id: str, over: threading.Event) -> None:
    while not over.wait(BEAT_SECONDS):
        try:
            client.set_tag(run_id, ALIVE_TAG, str(int(time.time())), synchronous=True)
            # Another command may have closed the run while the server, or this machine's network, was away.
            if client.get_run(run_id).info.status != "RUNNING" and not over.is_set():
                client.update_run(run_id, status="RUNNING")
        except Exception:
            # The server is away; the next sign may reach it.
            continue


def close_abandoned_runs(client: MlflowClient) -> list[str]:
    """Close the runs that are RUNNING though their driver is gone, as KILLED at its last sign of life.

    A driver on this machine is gone when its process is; one elsewhere when it was silent for ten minutes. The
    runs of a search's trials end with that of the search.

    Returns:
        The ids of the runs that were closed.
    """
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    running = list(_running(client, experiments))
    gone = {run.info.run_id: run for run in running if DRIVER_TAG in run.data.tags and _is_gone(run)}
    closed = []
    for run in running:
        driven = gone.get(run.info.run_id) or gone.get(run.data.tags.get(_PARENT_TAG, ""))
        if driven is not None:
            client.set_terminated(run.info.run_id, "KILLED", 1000 * int(float(driven.data.tags[ALIVE_TAG])))
            closed.append(run.info.run_id)
    return closed


def _running(client: MlflowClient, experiments: list[str]) -> Iterator[Run]:
    token = None
    while True:
        page = client.search_runs(experiments, "attributes.status = 'RUNNING'", page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _is_gone(run: Run) -> bool:
    try:
        driver = json.loads(run.data.tags[DRIVER_TAG])
        machine, pid, started = driver["machine"], driver["pid"], driver["started"]
        silent_seconds = time.time() - float(run.data.tags[ALIVE_TAG])
        return not _runs_here(pid, started) if machine == _machine() else silent_seconds > SILENT_SECONDS
    except (ValueError, KeyError, TypeError):
        return False  # not one of our tags: leave the run alone


def _runs_here(pid: int, started: float) -> bool:
    try:
        process = psutil.Process(pid)
        return bool(abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
