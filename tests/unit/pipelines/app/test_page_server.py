"""What the server refuses before it reads it, and what it tells browsers."""

from __future__ import annotations

import argparse
import asyncio
import socket
from collections.abc import Iterable
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from pipelines.commands import app
from pipelines.inference.page.limits import PageLimits
from pipelines.inference.page.server import Guard, running
from sgenet.errors import UserError

LIMITS = PageLimits(request_bytes=1000, file_bytes=5000)


async def echo(scope, receive, send) -> None:
    """An application that reads its request to the end, as Gradio's do."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client went away")
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


def ask(path: str, chunks: Iterable[bytes], *, declared: int | None = None) -> tuple[int, bytes, dict[bytes, bytes]]:
    """Status, body and headers of what :class:`Guard` answers before ``echo``."""
    sent: list[dict] = []
    waiting = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    waiting.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> dict:
        return waiting.pop(0)

    async def send(message: dict) -> None:
        sent.append(message)

    headers = [] if declared is None else [(b"content-length", str(declared).encode())]
    asyncio.run(Guard(echo, LIMITS)({"type": "http", "path": path, "headers": headers}, receive, send))
    start, body = sent
    return start["status"], body["body"], dict(start["headers"])


def test_requests_within_the_limits_pass():
    assert ask("/gradio_api/queue/join", [b"x" * 600, b"x" * 400], declared=1000)[:2] == (200, b"1000")
    assert ask("/gradio_api/upload", [b"x" * 5000])[:2] == (200, b"5000")


@pytest.mark.parametrize("declared", [None, 5])
def test_more_than_the_limit_is_refused_whatever_was_declared(declared):
    status, body, _ = ask("/gradio_api/queue/join", [b"x" * 600, b"x" * 401], declared=declared)
    assert (status, b"larger than" in body) == (413, True)


def test_a_large_request_is_refused_before_it_is_read():
    assert ask("/gradio_api/queue/join", iter([]), declared=1001)[0] == 413
    assert ask("/gradio_api/upload", iter([]), declared=5000 + 2**16 + 1)[0] == 413


def test_browsers_are_told_to_load_nothing_from_elsewhere():
    for declared in (0, 5000):
        headers = ask("/", [], declared=declared)[2]
        policy = headers[b"content-security-policy"].decode()
        assert "default-src 'self'" in policy
        assert "http" not in policy
        assert headers[b"x-content-type-options"] == b"nosniff"


def test_the_command_listens_on_loopback_unless_told_otherwise():
    parser = argparse.ArgumentParser()
    app.add_arguments(parser)
    assert parser.parse_args([]).host == "127.0.0.1"
    assert parser.parse_args(["--host", "0.0.0.0"]).host == "0.0.0.0"


def test_the_command_passes_on_address_and_limits_in_the_units_of_its_help(monkeypatch):
    called = []

    @contextmanager
    def served(*arguments):
        called.append(arguments)
        yield SimpleNamespace(local_url="", block_thread=lambda: None)

    monkeypatch.setattr("pipelines.inference.page.server.running", served)
    parser = argparse.ArgumentParser()
    app.add_arguments(parser)
    app.execute(parser.parse_args(["--max-megapixels", "1.5", "--max-mebibytes", "3", "--port", "1234"]))
    ((_, limits, host, port),) = called
    assert (host, port) == ("127.0.0.1", 1234)
    assert (limits.pixels, limits.file_bytes) == (1_500_000, 3 * 2**20)


def test_a_model_is_offered_once_however_it_was_named(sources, monkeypatch):
    import pipelines.tracking.model_source

    monkeypatch.setattr(pipelines.tracking.model_source, "list_models", lambda: sources)
    monkeypatch.setattr(pipelines.tracking.model_source, "find_model", lambda spec: sources[1])
    assert [source.name for source in app._models(["named"])] == ["base_net", "sge_net", "gated_conv"]


@pytest.mark.slow
def test_a_port_that_is_taken_is_a_sentence(shelf):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} of 127.0.0.1 cannot be used"):  # noqa: SIM117
            with running(shelf, PageLimits(), "127.0.0.1", port):
                pytest.fail("it was served")
