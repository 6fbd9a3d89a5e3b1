"""A request that was made to break a server, and where it is sent."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from hostile.images import encoded, hole, landscape

Outcome = Literal["refused", "answered", "any"]
"""4xx; 2xx; either, where what was sent may still be well-formed, or the connection may end without an answer."""

Wrap = Callable[[dict[str, Any]], dict[str, Any]]
"""Puts a row into the JSON that a path takes."""


@dataclass(frozen=True)
class HostileRequest:
    """What is sent over one connection.

    Attributes:
        name: what is wrong with it.
        content: the bytes, from the request line on.
        expected: how a server has to take it.
        slow: the client sends no more, but waits.
    """

    name: str
    content: bytes
    expected: Outcome = "refused"
    slow: bool = False


@dataclass(frozen=True)
class Target:
    """Where requests go.

    Attributes:
        path: takes a POST of JSON.
        wrap: makes the JSON from a row.
        forms: whether the path takes forms too.
        most_body: bytes of the largest body that the server takes.
    """

    path: str
    wrap: Wrap
    forms: bool = False
    most_body: int = 1 << 20


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def good_row() -> dict[str, Any]:
    return {"image": base64_of(encoded(landscape())), "hole_mask": base64_of(encoded(hole()))}


def post(target: Target, body: bytes, kind: str | None = "application/json", *headers: bytes) -> bytes:
    """A whole POST as it goes over the wire."""
    lines = [f"POST {target.path} HTTP/1.1".encode(), b"Host: localhost", f"Content-Length: {len(body)}".encode()]
    if kind is not None:
        lines.append(f"Content-Type: {kind}".encode())
    return b"\r\n".join([*lines, b"Connection: close", *headers]) + b"\r\n\r\n" + body


def good_request(target: Target) -> bytes:
    return post(target, json.dumps(target.wrap(good_row())).encode())
