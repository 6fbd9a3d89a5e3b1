"""An interpreter with the packages of peers, which cannot live beside ours: ``.peers``, from peers.txt."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import venv
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("peers.txt")
ENVIRONMENT = Path(__file__).resolve().parents[1] / ".peers"


def peer_python() -> Path:
    """The interpreter of the peers' environment, which is installed first where it is missing or peers.txt changed.

    Raises:
        SystemExit: it cannot be installed, with the reason in a sentence.
    """
    python, installed = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "peers.sha256"
    with REQUIREMENTS.open("rb") as requirements:
        # The second of two benchmarks that start at once waits for what the first installs.
        fcntl.flock(requirements, fcntl.LOCK_EX)
        digest = hashlib.sha256(requirements.read()).hexdigest()
        # Written last: an environment without it was never finished.
        if not (python.exists() and installed.is_file() and installed.read_text(encoding="utf-8") == digest):
            print(f"installing the peers' packages into {ENVIRONMENT}", file=sys.stderr)
            _install(python)
            installed.write_text(digest, encoding="utf-8")
    return python


def _install(python: Path) -> None:
    uv = Path(sys.prefix) / "bin" / "uv"
    command = [str(uv), "pip", "install", "--quiet", "--python", str(python), "--requirement", str(REQUIREMENTS)]
    try:
        venv.EnvBuilder(clear=True, symlinks=True).create(ENVIRONMENT)
        done = subprocess.run(command, capture_output=True, text=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise SystemExit(_sentence(str(error))) from error
    if done.returncode:
        raise SystemExit(_sentence(done.stderr))


def _sentence(reason: str) -> str:
    """What is wrong and what to do, from the last line of what was said about it."""
    lines = [line.strip(" .") for line in reason.splitlines() if line.strip() and not line.startswith("hint:")]
    cause = lines[-1].removeprefix("error: ").removeprefix("cause: ") if lines else "no reason was given"
    return (
        f"the packages of {REQUIREMENTS.name} cannot be installed ({cause}); run it again where the package index can "
        "be reached and uv is installed (make install)"
    )
