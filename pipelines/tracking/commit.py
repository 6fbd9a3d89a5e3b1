"""Which version of the code is running."""

from __future__ import annotations

import subprocess
from pathlib import Path


def current_commit() -> str | None:
    """The git commit of the code, with ``-dirty`` after it when files of the two packages differ from it.

    None outside a git checkout, or where git is not installed.
    """
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return None
    # Only the packages count: the pipeline itself rewrites dvc.lock while it runs.
    return f"{commit}-dirty" if _git("status", "--porcelain", "--", ":/sgenet", ":/pipelines") else commit


def _git(*arguments: str) -> str:
    try:
        completed = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return completed.stdout.strip() if completed.returncode == 0 else ""
