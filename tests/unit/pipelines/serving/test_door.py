"""The door: a body comes in whole, within a size and a time, or not at all."""

from __future__ import annotations

import asyncio
import json

import pytest

from pipelines.inference.server.door import Door
from pipelines.inference.server.limits import ServingLimits


class Connection:
    """What an ASGI server shows of one connection; messages that run out are waited for without end."""

    def __init__(self, *messages: dict, method: str = "POST", headers: tuple = ()) -> None:
        self.scope = {"type": "http", "method": method, "path": "/", "headers": list(headers)}
        self.messages = list(messages)
        self.sent: list[dict] = []

    async def receive(self) -> dict:
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)

    async def send(self, message: dict) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def sentence(self) -> str:
        return json.loads(self.sent[1]["body"])["message"]


def part(body: bytes, more: bool = False) -> dict:
    return {"type": "http.request", "body": body, "more_body": more}


class Echo:
    """An application that keeps what it gets, and may have to wait."""

    def __init__(self, wait: asyncio.Event | None = None) -> None:
        self.bodies: list[bytes] = []
        self.scopes: list[dict] = []
        self._wait = wait

    async def __call__(self, scope, receive, send) -> None:
        self.scopes.append(scope)
        self.bodies.append((await receive())["body"])
        if self._wait is not None:
            await self._wait.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


async def through(door: Door, connection: Connection) -> Connection:
    await door(connection.scope, connection.receive, connection.send)
    return connection


def let_in(connection: Connection, **limits) -> tuple[Connection, Echo]:
    echo = Echo()
    asyncio.run(through(Door(echo, ServingLimits(**limits)), connection))
    return connection, echo


def test_a_body_in_parts_is_handed_on_in_one_piece():
    connection, echo = let_in(Connection(part(b"ab", True), part(b"", True), part(b"cd")), body_bytes=4)
    assert (connection.status, echo.bodies) == (200, [b"abcd"])


def test_a_body_that_says_it_is_too_large_is_not_read():
    connection = Connection(headers=((b"content-length", b"5"),))
    _, echo = let_in(connection, body_bytes=4, body_seconds=60)
    assert (connection.status, echo.bodies) == (413, [])
    assert connection.headers[b"connection"] == b"close"


def test_a_body_that_does_not_say_so_is_read_up_to_the_limit_only():
    connection = Connection(part(b"abc", True), part(b"de", True), part(b"never read"))
    _, echo = let_in(connection, body_bytes=4)
    assert (connection.status, echo.bodies, len(connection.messages)) == (413, [], 1)


def test_a_body_that_does_not_arrive_is_given_up():
    connection, echo = let_in(Connection(part(b"a", True)), body_seconds=0.05)
    assert (connection.status, echo.bodies) == (408, [])
    assert "did not arrive within 0.05 s" in connection.sentence


def test_a_client_that_leaves_is_not_answered():
    connection, echo = let_in(Connection(part(b"a", True), {"type": "http.disconnect"}))
    assert (connection.sent, echo.bodies) == ([], [])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_body_of_a_request_that_has_none_is_not_read(method):
    connection, echo = let_in(Connection(part(b"x" * 99, True), method=method), body_bytes=4)
    assert (connection.status, echo.bodies) == (200, [b""])


def test_headers_that_steer_the_proxy_are_left_outside():
    given = ((b"content-type", b"a/b"), (b"x-request-id", b"\xff"), (b"x-request-timeout-seconds", b"0"))
    _, echo = let_in(Connection(part(b""), headers=given))
    assert echo.scopes[0]["headers"] == [(b"content-type", b"a/b")]


def test_a_websocket_is_closed():
    connection = Connection()
    connection.scope["type"] = "websocket"
    let_in(connection)
    assert connection.sent == [{"type": "websocket.close", "code": 1003}]


def test_too_many_at_once_are_told_to_come_back_and_health_is_still_answered():
    async def crowd() -> tuple[list[int], bytes, int, int]:
        wait = asyncio.Event()
        door = Door(Echo(wait), ServingLimits(under_way=2))
        connections = [Connection(part(b"")) for _ in range(4)]
        tasks = [asyncio.create_task(through(door, connection)) for connection in connections]
        refused = [await tasks[2], await tasks[3]]
        health = Connection(method="GET")
        wait.set()
        await through(door, health)
        await asyncio.gather(*tasks)
        later = await through(door, Connection(part(b"")))
        return [each.status for each in connections], refused[0].headers[b"retry-after"], health.status, later.status

    statuses, retry_after, health, later = asyncio.run(crowd())
    assert statuses == [200, 200, 429, 429]
    assert int(retry_after) > 0
    assert (health, later) == (200, 200)


def test_a_closed_door_answers_who_is_inside_and_sends_away_who_is_not():
    async def closing() -> tuple[bool, list[int], bool]:
        wait = asyncio.Event()
        door = Door(Echo(wait), ServingLimits())
        inside, late, health = Connection(part(b"")), Connection(part(b"")), Connection(method="GET")
        first = asyncio.create_task(through(door, inside))
        await asyncio.sleep(0)
        closed = asyncio.create_task(door.close())
        await asyncio.sleep(0)
        await asyncio.gather(through(door, late), through(door, health))
        waited = not closed.done()
        wait.set()
        await asyncio.gather(first, closed)
        return waited, [each.status for each in (inside, late, health)], b"retry-after" in late.headers

    assert asyncio.run(closing()) == (True, [200, 503, 503], True)


def test_an_empty_house_is_closed_at_once():
    async def closing() -> None:
        await asyncio.wait_for(Door(Echo(), ServingLimits()).close(), timeout=1)

    asyncio.run(closing())
