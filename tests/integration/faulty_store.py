"""An S3 store that fails now and then: a proxy in front of a sound one."""

from __future__ import annotations

import http.client
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_HOP_HEADERS = {"connection", "transfer-encoding", "keep-alive"}


class FaultyStore(ThreadingHTTPServer):
    """Forwards requests to the store at ``endpoint``.

    Attributes:
        failing_share: of the requests that are answered 503, or the answer cut off in the middle, by turns.
        stalls: how many of the next requests whose path ends with ``stalling`` are never answered.
        expiring: where set, the credentials are said to have expired from the first request on whose path ends with it.
        stalled: set once a request has stalled.
        counts: what was done: ``passed``, ``failed``, ``cut``, ``stalled``, ``expired``.
    """

    daemon_threads = True

    def __init__(self, endpoint: str, seed: int = 1) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.store = urlsplit(endpoint).netloc
        self.failing_share = 0.0
        self.stalls, self.stalling = 0, ""
        self.expiring: str | None = None
        self.counts: Counter[str] = Counter()
        self.closing, self.stalled = threading.Event(), threading.Event()
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def decide(self, path: str) -> str:
        with self._lock:
            if self.expiring is not None and (self.counts["expired"] or path.endswith(self.expiring)):
                fate = "expired"
            elif self.stalls and path.endswith(self.stalling):
                self.stalls -= 1
                fate = "stalled"
            elif self._random.random() < self.failing_share:
                fate = "cut" if self.counts["cut"] < self.counts["failed"] else "failed"
            else:
                fate = "passed"
            self.counts[fate] += 1
            return fate


@contextmanager
def faulty_store(endpoint: str) -> Iterator[FaultyStore]:
    server = FaultyStore(endpoint)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: FaultyStore
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, BrokenPipeError):
            self.close_connection = True

    def _forward(self) -> None:
        fate = self.server.decide(self.path.partition("?")[0])
        if fate == "stalled":
            # Half of an upload has arrived, as far as its client knows.
            self.rfile.read(int(self.headers.get("Content-Length", 0)) // 2)
            self.server.stalled.set()
            self.server.closing.wait(120)
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fate == "failed":
            self._answer(503, {}, b"<Error><Code>SlowDown</Code><Message>again later</Message></Error>")
            return
        if fate == "expired":
            self._answer(400, {}, b"<Error><Code>ExpiredToken</Code><Message>it has expired</Message></Error>")
            return
        store = http.client.HTTPConnection(self.server.store, timeout=60)
        store.request(self.command, self.path, body, dict(self.headers))
        answer = store.getresponse()
        content = answer.read()
        store.close()
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP_HEADERS}
        self._answer(answer.status, headers, content, whole=fate == "passed")

    def _answer(self, status: int, headers: dict[str, str], content: bytes, whole: bool = True) -> None:
        self.send_response_only(status)
        headers = {"Content-Length": str(len(content))} | headers
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content if whole else content[: len(content) // 2])
        if not whole:
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _forward

    def log_message(self, format: str, *arguments: object) -> None:
        pass
