"""The name under which this program was called, for the commands that it tells people to type."""

from __future__ import annotations

import sys
from pathlib import Path

CONSOLE_SCRIPT = "sgenet"


def program() -> str:
    """``sgenet`` where the console script was called, ``python -m pipelines`` everywhere else."""
    return CONSOLE_SCRIPT if Path(sys.argv[0]).name == CONSOLE_SCRIPT else "python -m pipelines"
