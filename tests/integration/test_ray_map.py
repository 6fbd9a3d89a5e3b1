"""One function, two places to work: what a Ray cluster gives is what the cores of a machine give."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ray_head import driver_environment, ray_head

from pipelines.parallel.parallel import parallel_map

pytestmark = [pytest.mark.slow, pytest.mark.faults]
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def on_ray(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a command gives that works on a cluster, in a folder of its own."""
    with ray_head(tmp_path_factory.mktemp("ray"), num_cpus=2) as address:
        finished = subprocess.run(
            [sys.executable, str(HERE / "map_work.py")],
            cwd=tmp_path_factory.mktemp("work"),
            env={**driver_environment(), "RAY_ADDRESS": address},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


def test_a_cluster_gives_what_the_cores_of_a_machine_give(on_ray: dict[str, Any]) -> None:
    assert on_ray["order"] == [0, 1, 4, 9, 16]
    assert on_ray["elsewhere"]
    assert on_ray["relative"] == ["zero", "one"]
    assert on_ray["leftovers"] == ["0", "1", "died"]


def test_what_a_task_raises_is_raised_here_unchanged(on_ray: dict[str, Any]) -> None:
    assert on_ray["sentence"][:2] == ["DataError", "number 3 is unusable; take another"]
    assert on_ray["settings"][:2] == ["SettingsError", "- one problem\n- another"]
    assert on_ray["bug"] == ["ZeroDivisionError", "division by zero", "RayTaskError(ZeroDivisionError)"]


def test_only_a_few_items_are_under_way(on_ray: dict[str, Any]) -> None:
    assert on_ray["taken"] <= 8


def test_a_lost_worker_is_replaced_and_one_that_dies_again_and_again_is_explained(on_ray: dict[str, Any]) -> None:
    assert on_ray["died once"] == [0, 1, 2]
    assert on_ray["died"][0] == "UserError"
    assert "was lost 3 times at the same piece of work" in on_ray["died"][1]


def test_one_worker_asks_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    assert list(parallel_map(lambda number: os.getpid(), range(2), workers=1)) == [os.getpid()] * 2
