"""The door of a server: a request's body comes in whole, within a size and a time, or not at all.

Plain ASGI middleware of the Ray Serve replicas. What it cannot see, such as endless headers, is left to a reverse
proxy (``infra/nginx.conf``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from pipelines.inference.server.limits import ServingLimits
from pipelines.inference.server.refusal import Refusal, busy, error_body, stopping

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_PASSED_HEADERS = (b"accept", b"content-length", b"content-type", b"host")
"""What the application behind the door reads."""


class ClientLeft(Exception):
    """The client closed the connection: nobody waits for an answer."""


class Door:
    """Middleware that lets in requests whose body is bounded, and not too many at once.

    Args:
        application: what is behind the door; it gets the body in one piece.
        limits: ``body_bytes``, ``body_seconds`` and ``under_way`` are kept here.
    """

    def __init__(self, application: Application, limits: ServingLimits) -> None:
        self._application = application
        self._limits = limits
        self._under_way = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self._closed = False

    async def close(self) -> None:
        """Refuse new requests, and wait for those in progress."""
        self._closed = True
        await self._empty.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection as ASGI says."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1003})
        elif scope["type"] != "http":
            await self._application(scope, receive, send)
        elif self._closed:
            await send_refusal(send, stopping())
        elif scope["method"] in ("GET", "HEAD"):
            # Health checks are answered however much there is to do, and what they carry is not read.
            await self._application(_without_other_headers(scope), _replayed(b"", receive), send)
        else:
            await self._serve_body(scope, receive, send)

    async def _serve_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._under_way >= self._limits.under_way:
            await send_refusal(send, busy("the server has as many requests as it can take on; try again shortly"))
            return
        self._under_way += 1
        self._empty.clear()
        try:
            body = await read_body(scope["headers"], receive, self._limits)
            await self._application(_without_other_headers(scope), _replayed(body, receive), send)
        except Refusal as refusal:
            await send_refusal(send, refusal)
        except ClientLeft:
            pass
        finally:
            self._under_way -= 1
            if self._under_way == 0:
                self._empty.set()


async def read_body(headers: Iterable[tuple[bytes, bytes]], receive: Receive, limits: ServingLimits) -> bytes:
    """The whole body of a request.

    Raises:
        Refusal: 413 as soon as it is known to be too large, 408 when it does not arrive in time.
        ClientLeft: the client closed the connection.
    """
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value[:20]) > limits.body_bytes:
            raise _too_large(limits)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientLeft
                body += message.get("body", b"")
                if len(body) > limits.body_bytes:
                    raise _too_large(limits)
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        raise Refusal(
            408, f"the body did not arrive within {limits.body_seconds:g} s; send it at once", {"Connection": "close"}
        ) from None


async def send_refusal(send: Send, refusal: Refusal) -> None:
    """Answer with a refusal's status, headers and sentence."""
    body = error_body(refusal.status, str(refusal))
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **refusal.headers}
    encoded = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def _too_large(limits: ServingLimits) -> Refusal:
    # What the client still sends is not read: the connection has to end.
    return Refusal(
        413,
        f"the request is larger than {limits.body_bytes / 2**20:g} MiB; send smaller images",
        {"Connection": "close"},
    )


def _without_other_headers(scope: Scope) -> Scope:
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name in _PASSED_HEADERS]}


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the body, and afterwards what the connection gives: that the client left."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replay
