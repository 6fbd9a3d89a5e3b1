"""What the driver of a training on Ray says before its first step and after its last."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.settings.params import RunSettings
from pipelines.stages import train
from pipelines.training import ray_train
from pipelines.training.job import Reached
from pipelines.training.mailbox import Mailbox


class Said:
    """A display that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def test_workers_are_counted_as_they_start(monkeypatch: pytest.MonkeyPatch) -> None:
    mailbox, ended, said = Mailbox(), Future[None](), Said()

    def look() -> Any:
        if mailbox.collect().begun < 2:
            mailbox.begin("a node")
        elif not ended.done():
            mailbox.finish(Reached(1, finished=True))
            ended.set_result(None)
        return mailbox.collect()

    monkeypatch.setattr(ray_train, "_SECONDS_BETWEEN_LOOKS", 0)
    monkeypatch.setattr(ray_train.ray, "get", lambda found: found)
    monkeypatch.setattr(ray_train, "leaving_nodes", set)
    run = RunSettings(workers=2)
    attempt = ray_train._Attempt(None, run, None, 2, said, threading.Event())  # type: ignore[arg-type]
    remote: Any = SimpleNamespace(collect=SimpleNamespace(remote=look))
    news = attempt._follow(ended, remote)
    assert news.outcome == Reached(1, finished=True)
    assert said.lines == ["1 of 2 workers have started", "2 of 2 workers have started"]


def test_it_is_said_that_workers_are_waited_for_before_there_is_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_cluster(run: RunSettings) -> None:
        raise ConnectionError

    monkeypatch.setattr(ray_train, "joined_cluster", no_cluster)
    said = Said()
    for address, workers in (("head:6379", 8), ("", 2)):
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(ConnectionError):
            ray_train.train_on_ray(None, RunSettings(workers=workers), said)  # type: ignore[arg-type]
    assert said.lines == [
        "waiting for 8 workers on the cluster at head:6379",
        "waiting for 2 workers on Ray on this machine",
    ]


def test_a_job_without_a_tracking_server_keeps_its_results_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    assert not train.only_in_job()
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert train.only_in_job()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org")
    assert not train.only_in_job()
