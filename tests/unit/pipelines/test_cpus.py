"""A process takes the cores it was given, and its threads wait for one another asleep."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.parallel.cpus import usable_cpus

AFFINITY = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.mark.parametrize(
    ("lines", "files", "quota"),
    [
        ("0::/", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/jobs/mine", {"jobs/mine/cpu.max": "max 100000\n", "jobs/cpu.max": "150000 100000\n"}, 2),
        ("0::/of-the-host/abc", {"cpu.max": "100000 100000\n"}, 1),
        ("2:cpuacct:/\n1:cpu,cpuacct:/mine", {"cpu,cpuacct/mine/cpu.cfs_quota_us": "90000\n"}, 1),
        ("0::/", {"cpu.max": "max 100000\n"}, AFFINITY),
        ("1:cpu:/", {"cpu/cpu.cfs_quota_us": "-1\n"}, AFFINITY),
        ("0::/", {}, AFFINITY),
    ],
)
def test_the_quota_of_a_control_group_counts(tmp_path: Path, lines: str, files: dict[str, str], quota: int) -> None:
    membership = tmp_path / "membership"
    membership.write_text(lines)
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if name.endswith("cfs_quota_us"):
            path.with_name("cpu.cfs_period_us").write_text("100000\n")
    assert usable_cpus(membership, tmp_path / "cgroup") == min(quota, AFFINITY)


def test_without_control_groups_the_affinity_counts(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path / "none", tmp_path) == AFFINITY


def test_every_way_into_the_package_waits_asleep_unless_told_otherwise() -> None:
    code = "import os, pipelines; print(os.environ['OMP_WAIT_POLICY'], os.environ['KMP_BLOCKTIME'])"
    unset = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "KMP_BLOCKTIME")}
    assert printed(code, unset) == "PASSIVE 0"
    assert printed(code, unset | {"OMP_WAIT_POLICY": "ACTIVE"}) == "ACTIVE 0"


def printed(code: str, environment: dict[str, str]) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()
