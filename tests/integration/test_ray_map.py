"""One function, two places to work: what a Ray cluster gives is what the cores of this machine give."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from free_port import free_port
from ray_head import driver_environment, ray_head

from pipelines.parallel.parallel import parallel_map
from sgenet.errors import UserError

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent


def drive(folder: Path, **variables: str) -> dict[str, Any]:
    """Run the work as a command in a folder of its own."""
    finished = subprocess.run(
        [sys.executable, str(HERE / "map_work.py")],
        cwd=folder,
        env={**driver_environment(), **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def on_ray(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with ray_head(tmp_path_factory.mktemp("ray"), num_cpus=2) as address:
        return drive(tmp_path_factory.mktemp("work"), RAY_ADDRESS=address)


@pytest.fixture(scope="module")
def on_cores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return drive(tmp_path_factory.mktemp("work"))


def test_a_cluster_and_the_cores_give_the_same(on_ray: dict[str, Any], on_cores: dict[str, Any]) -> None:
    same = ("order", "elsewhere", "relative", "leftovers")
    assert {key: on_ray[key] for key in same if key != "leftovers"} == {
        "order": [0, 1, 4, 9, 16],
        "elsewhere": True,
        "relative": ["zero", "one"],
    }
    assert {key: on_ray[key] for key in same} == {key: on_cores[key] for key in same}


def test_what_a_task_raises_is_raised_here_unchanged(on_ray: dict[str, Any], on_cores: dict[str, Any]) -> None:
    assert on_ray["sentence"][:2] == on_cores["sentence"][:2] == ["DataError", "number 3 is unusable; take another"]
    assert on_ray["settings"][:2] == on_cores["settings"][:2] == ["SettingsError", "- one problem\n- another"]
    assert on_ray["bug"] == ["ZeroDivisionError", "division by zero", "RayTaskError(ZeroDivisionError)"]


def test_only_a_few_items_are_under_way(on_ray: dict[str, Any]) -> None:
    assert on_ray["taken"] <= 8


def test_a_lost_worker_is_replaced_and_one_that_dies_again_and_again_is_explained(on_ray: dict[str, Any]) -> None:
    assert on_ray["died once"] == [0, 1, 2]
    assert on_ray["died"][0] == "UserError"
    assert "was lost 3 times at the same piece of work" in on_ray["died"][1]


def test_a_cluster_that_does_not_answer_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
    with pytest.raises(UserError, match=rf"no Ray cluster answers at RAY_ADDRESS=127\.0\.0\.1:{port} .*or unset"):
        list(parallel_map(abs, range(3)))


def test_one_worker_asks_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    assert list(parallel_map(lambda number: os.getpid(), range(2), workers=1)) == [os.getpid()] * 2
