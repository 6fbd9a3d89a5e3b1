"""Where a cluster of this machine alone can be reached from: nowhere else."""

from __future__ import annotations

import os


def keep_to_loopback() -> None:
    """Make a cluster that this process starts listen on 127.0.0.1 alone; call before Ray is imported.

    Ray does so by itself elsewhere than on Linux, where it listens on every address of the
    machine. Without effect where ``RAY_ADDRESS`` names a cluster to connect to.
    """
    if not os.environ.get("RAY_ADDRESS"):
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
