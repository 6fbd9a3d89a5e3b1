"""HTTP that is not what it should be."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from hostile.request import HostileRequest, Target, good_request, post


def request_lines(target: Target) -> Iterator[HostileRequest]:
    """Other methods, paths and versions."""
    head, _, body = good_request(target).partition(b"\r\n\r\n")
    fields = head.partition(b"\r\n")[2]
    path = target.path.encode()
    for method in (b"GET", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE"):
        content = b"\r\n".join([method + b" " + path + b" HTTP/1.1", fields, b"", body])
        yield HostileRequest(f"method {method.decode()}", content)
    lines = {
        "another path": b"POST /nothing/here HTTP/1.1",
        "a path upwards": b"GET /../../../../etc/passwd HTTP/1.1",
        "a path upwards in disguise": b"GET /%2e%2e/%2e%2e/etc/passwd%00 HTTP/1.1",
        "a slash too many": b"POST " + path + b"/ HTTP/1.1",
        "a path that is not UTF-8": b"POST /%ff%fe HTTP/1.1",
        "a long path": b"POST /" + b"a" * 60_000 + b" HTTP/1.1",
        "a long query": b"POST " + b"/nothing?" + b"a=b&" * 10_000 + b" HTTP/1.1",
        "HTTP/9.9": b"POST " + path + b" HTTP/9.9",
        "an unknown method": b"BREAK " + path + b" HTTP/1.1",
        "a method of control characters": b"\x01\x02 " + path + b" HTTP/1.1",
        "no version": b"POST " + path,
    }
    for name, line in lines.items():
        yield HostileRequest(name, b"\r\n".join([line, fields, b"", body]), "any", slow=True)


def framing(target: Target) -> Iterator[HostileRequest]:
    """Lengths and chunks that lie, and clients that do not go on."""
    good = good_request(target)
    line, body = good.partition(b"\r\n")[0], good.partition(b"\r\n\r\n")[2]
    start = line + b"\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    chunked = start + b"Transfer-Encoding: chunked\r\n\r\n"
    block = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    refused = {
        "a negative length": start + b"Content-Length: -5\r\n\r\n" + body,
        "a length that is no number": start + b"Content-Length: many\r\n\r\n" + body,
        "a length beyond the limit": start + b"Content-Length: %d\r\n\r\n" % (target.most_body + 1),
        "a length longer than the body": start + b"Content-Length: %d\r\n\r\n" % (len(body) + 9) + body,
        "chunks that never end": chunked + b"5\r\nhello\r\n",
        "a chunk of nonsense": chunked + b"zz\r\nhello\r\n",
        "chunks beyond the limit": chunked + block * (target.most_body // 0x10000 + 2) + b"0\r\n\r\n",
    }
    for name, content in refused.items():
        yield HostileRequest(name, content, slow=True)
    # More than a counter of 64 bits holds: parsers of HTTP may hang up.
    yield HostileRequest("a length of 2^70", start + b"Content-Length: %d\r\n\r\n" % 2**70, "any", slow=True)
    yield HostileRequest("a chunk of 2^63", chunked + b"8000000000000000\r\nhello\r\n", "any", slow=True)
    whole = b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n"
    yield HostileRequest("a good body in chunks", chunked + whole, "answered")
    yield HostileRequest("a body beyond the limit", post(target, b" " * (target.most_body + 1)))


def wire(target: Target) -> Iterator[HostileRequest]:
    """What is not HTTP, or not all of it."""
    good = good_request(target)
    others = {
        "half a request line": b"POST /inp",
        "half a header": b"POST / HTTP/1.1\r\nHost: loc",
        "TLS": b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(500),
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
        "another protocol": b"SSH-2.0-OpenSSH_9.0\r\n",
        "line breaks": b"\r\n" * 5000,
        "random bytes": Random(1).randbytes(5000),
        "nothing at all": b"",
    }
    for name, content in others.items():
        yield HostileRequest(f"on the wire: {name}", content, "any", slow=True)
    yield HostileRequest("two requests in one", good.replace(b"Connection: close\r\n", b"") + good, "any")
