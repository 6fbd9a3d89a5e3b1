"""Pages served by a process of their own, and windows of Chromium that look at them."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
STARTS_WITHIN = 120
"""Seconds; importing PyTorch and Gradio on a busy machine takes a while."""


def start_page(arguments: list[str], folder: Path, says: str, errors: IO[str] | None = None) -> subprocess.Popen[str]:
    """``python -m pipelines`` with these arguments in a folder, once its first line holds ``says``."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], STARTS_WITHIN)
    line = process.stdout.readline() if ready else ""
    if says not in line:
        process.kill()
        pytest.fail(f"the page did not start; it said {line!r}")
    return process


@contextmanager
def windows(browser: Any, address: str, *, console: bool = True) -> Iterator[Callable[..., Any]]:
    """Opens the page in windows of their own.

    What a window asked of any other machine, and what its scripts complained of, fails the test; in the console only
    if ``console``: a browser also writes there that a server is gone.
    """
    contexts, strangers, complaints = [], [], []

    def asked(request) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            strangers.append(request.url)

    def said(message) -> None:
        # Being told that the line is full is an answer the test asks for, not a complaint.
        if console and message.type == "error" and "status of 503" not in message.text:
            complaints.append(message.text)

    def opened(**window):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **window})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("request", asked)
        page.on("console", said)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert strangers == []
    assert complaints == []
