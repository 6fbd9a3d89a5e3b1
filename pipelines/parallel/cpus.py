"""The cores this process may use, and how its threads wait for one another on them."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")

_PASSIVE = {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}


def usable_cpus(membership: Path = _MEMBERSHIP, cgroups: Path = _CGROUPS) -> int:
    """How many cores this process may use: those of its affinity, or fewer where its control group has a quota.

    A container or a job of a batch system sees every core of its machine; what it may use of them is the quota.

    Args:
        membership: the file that names the process's control groups.
        cgroups: where the control groups are mounted.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([affinity, *map(math.ceil, _quotas(membership, cgroups))]))


def set_thread_defaults() -> None:
    """Let threads wait asleep, and be no more than the usable cores; call before PyTorch is imported.

    OpenMP, by which PyTorch uses the cores, lets threads that have finished their share spin until the last one has.
    Where another process has one of the cores, they spin while the thread they wait for has none, for every one of
    thousands of small loops. What the environment sets already stays: ``OMP_WAIT_POLICY=ACTIVE`` spins.
    """
    for name, value in _PASSIVE.items():
        os.environ.setdefault(name, value)
    cpus = usable_cpus()
    # OpenMP knows the affinity, but no quota.
    if hasattr(os, "sched_getaffinity") and cpus < len(os.sched_getaffinity(0)):
        os.environ.setdefault("OMP_NUM_THREADS", str(cpus))


def _quotas(membership: Path, cgroups: Path) -> list[float]:
    """The quotas, in cores, of the process's control groups and all above them, of both versions of cgroups."""
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:
            root, read = cgroups, _quota
        elif "cpu" in controllers.split(","):
            root, read = cgroups / controllers, _old_quota
        else:
            continue
        folder = root / group.lstrip("/")
        # In a container the group's own name may belong to the host; the mount is then the container's group.
        for place in (folder, *folder.parents):
            if place.is_relative_to(root):
                found.append(read(place))
    return [quota for quota in found if quota is not None]


def _quota(group: Path) -> float | None:
    try:
        quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        return None


def _old_quota(group: Path) -> float | None:
    try:
        quota, period = (
            int((group / f"cpu.cfs_{name}_us").read_text(encoding="ascii")) for name in ("quota", "period")
        )
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
