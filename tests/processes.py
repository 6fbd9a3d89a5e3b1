"""Processes that may end at any moment, while a test looks at them."""

from __future__ import annotations

from contextlib import suppress

import psutil


def below(pid: int) -> list[psutil.Process]:
    """What process ``pid`` started, with all that these started; nothing where ``pid`` has ended."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def command(process: psutil.Process) -> str:
    """The command line of a process; empty where it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def kill_all(pid: int) -> None:
    """SIGKILL to process ``pid`` and to all below it, as when the machine is lost."""
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        # The root first: it should not see the others end, and act.
        for process in [root, *root.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
