"""The reverse proxy's configuration, by nginx itself, in front of a server that would take anything."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from free_port import free_port
from infra_files import INFRA

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: apt-get install nginx-light)")


class Model(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(b"pong")

    def do_POST(self) -> None:
        self._answer(str(len(self.rfile.read(int(self.headers["Content-Length"])))).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    root = tmp_path_factory.mktemp("nginx")
    model = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=model.serve_forever, daemon=True).start()
    port = free_port()
    text = (INFRA / "nginx.conf").read_text()
    assert "server 127.0.0.1:5001;" in text
    assert "listen 8080;" in text
    text = text.replace("127.0.0.1:5001", f"127.0.0.1:{model.server_port}").replace(
        "listen 8080;", f"listen 127.0.0.1:{port};"
    )
    (root / "nginx.conf").write_text(text)
    assert NGINX is not None
    command = [NGINX, "-c", str(root / "nginx.conf"), "-p", str(root)]
    subprocess.run([*command, "-t"], check=True)
    process = subprocess.Popen([*command, "-g", "daemon off; master_process off;"])
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            time.sleep(0.1)
    yield port
    process.terminate()
    process.wait()
    model.shutdown()


def ask(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_good_requests_reach_the_model(proxy: int) -> None:
    assert ask(proxy, "POST", "/invocations", b"{}" * 500, Content_Type="application/json; charset=utf-8") == (
        200,
        b"1000",
    )
    assert ask(proxy, "GET", "/ping") == (200, b"pong")


@pytest.mark.parametrize(
    ("method", "path", "size", "headers", "status"),
    [
        ("POST", "/invocations", (32 << 20) + 1, {"Content_Type": "application/json"}, 413),
        ("POST", "/invocations", 10, {}, 415),
        ("POST", "/invocations", 10, {"Content_Type": "text/csv"}, 415),
        ("POST", "/invocations", 10, {"Content_Type": "application/json", "X_Long": "a" * 70_000}, 400),
        ("GET", "/invocations", None, {"Content_Type": "application/json"}, 403),
        ("GET", "/docs", None, {}, 404),
    ],
)
def test_what_the_model_should_not_see_it_does_not_see(
    proxy: int, method: str, path: str, size: int | None, headers: dict[str, str], status: int
) -> None:
    assert ask(proxy, method, path, None if size is None else b" " * size, **headers)[0] == status


def test_a_body_that_says_no_length_is_bounded(proxy: int) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * (1 << 20)

    connection = http.client.HTTPConnection("127.0.0.1", proxy, timeout=30)
    try:
        connection.request("POST", "/invocations", endless(), {"Content-Type": "application/json"}, encode_chunked=True)
        assert connection.getresponse().status == 413
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused while the body was still being sent
