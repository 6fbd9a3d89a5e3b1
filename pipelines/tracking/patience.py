"""Which failures of a tracking store pass by themselves, and waiting for them to pass."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import requests
from mlflow.exceptions import MlflowException

_T = TypeVar("_T")

PATIENCE_SECONDS = 60.0
"""How long a command waits at its start and at its end for a server that is away."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_PASSING_REFUSALS = (401, 403, 408, 409, 425, 429)
"""Of what is refused, these may be accepted later: credentials that are being renewed, too many requests."""


def passes(error: Exception) -> bool:
    """Whether the same request may succeed later: the server is away, restarting or busy."""
    match error:
        case MlflowException():
            status: int = error.get_http_status_code()  # type: ignore[no-untyped-call]
        case requests.HTTPError() if error.response is not None:
            status = error.response.status_code
        case requests.RequestException() | ConnectionError() | TimeoutError():
            return True
        case _:
            return False
    return status >= 500 or status in _PASSING_REFUSALS


def pauses() -> Iterator[float]:
    """Seconds to wait before each further attempt: doubling, without end."""
    pause = _FIRST_PAUSE
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_PAUSE)


def patiently(address: str, action: Callable[[], _T], seconds: float | None = None) -> _T:
    """Do something with a tracking server; while the server is away, try again.

    Args:
        address: of the store; a file does not come back by waiting, so that only servers are waited for.
        action: may be done more than once.
        seconds: for how long; by default :data:`PATIENCE_SECONDS`.

    Raises:
        Exception: what the last attempt raised.
    """
    until = time.monotonic() + (PATIENCE_SECONDS if seconds is None else seconds)
    for attempt, pause in enumerate(pauses()):
        try:
            return action()
        except Exception as error:
            is_server = address.startswith(("http://", "https://"))
            if not is_server or not passes(error) or time.monotonic() + pause > until:
                raise
            if attempt == 3:
                print(f"waiting for the tracking server ({type(error).__name__})", file=sys.stderr, flush=True)
        time.sleep(pause)
    raise AssertionError("pauses do not end")
