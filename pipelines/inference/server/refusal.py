"""Requests that are refused: an HTTP status, and one sentence that says what to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from sgenet.errors import UserError

_CODES = {
    400: "BAD_REQUEST",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "REQUEST_TIMEOUT",
    413: "CONTENT_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "TOO_MANY_REQUESTS",
    500: "INTERNAL_ERROR",
    503: "TEMPORARILY_UNAVAILABLE",
}
RETRY_AFTER_SECONDS = 2


class Refusal(UserError):
    """A request that is refused: something its sender can change, or do later.

    Args:
        status: 4xx, or 503 while the server stops.
        sentence: what is wrong and what to do.
        headers: that the status asks for.
    """

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = dict(headers)


def busy(sentence: str) -> Refusal:
    """The server has too much to do: 429, with the time after which to try again."""
    return Refusal(429, sentence, {"Retry-After": str(RETRY_AFTER_SECONDS)})


def stopping() -> Refusal:
    """The server is about to end, which is nobody's mistake: 503, so that a balancer asks another one."""
    return Refusal(503, "the server is stopping; ask another one, or try again", {"Retry-After": "10"})


def error_body(status: int, sentence: str) -> bytes:
    """The body of an answer that is no image, in the form MLflow's clients know.

    Nothing of it depends on what was sent being text: everything beyond ASCII is escaped.
    """
    return json.dumps({"error_code": _CODES.get(status, "BAD_REQUEST"), "message": sentence}).encode("ascii")
