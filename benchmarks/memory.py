"""What this process holds in memory, as Linux counts it."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Literal


def memory(when: Literal["VmRSS", "VmHWM"]) -> int:
    """Resident bytes: now (VmRSS), or at the peak since the process started or forgot it (VmHWM)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{when}:"))


def proportional_memory(kind: Literal["Pss_Anon", "Pss_File"]) -> int:
    """Resident bytes, those that several processes share divided among them: of their own, or mapped from files."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:"))


def forget_peak() -> int:
    """Start a new peak from what is held now, which is given, in bytes.

    Building a network takes more than filling a small image, and what it freed would serve the first run.
    """
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return memory("VmRSS")
