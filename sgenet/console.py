"""How a command ends, whatever its terminal or the other end of a pipe is like."""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Callable
from typing import TextIO

_NOBODY_READS = 141
"""What a shell reports of a program that SIGPIPE ended."""


def run_command(main: Callable[[], int]) -> int:
    """Run a command and return its exit status.

    Characters that the terminal's encoding lacks are replaced, and what goes to a closed stream is dropped. Where
    nobody reads the output any more (``| head -1``), the command ends without a word, with the status of a program
    that SIGPIPE ended; the signal itself would also end servers whose clients hang up.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started the command (`>&-`)
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        try:
            return main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        unread = [stream for stream in (sys.stdout, sys.stderr) if _is_unread(stream)]
        if not unread:
            raise
        for stream in unread:
            _discard(stream)
        return _NOBODY_READS


def _is_unread(stream: TextIO) -> bool:
    """Whether the other end of a pipe is closed."""
    poll = select.poll()
    poll.register(stream, 0)
    return bool(poll.poll(0))


def _discard(stream: TextIO) -> None:
    """Send what is still to be written nowhere, so that the interpreter does not complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
