"""Hostile requests against a server of a model: none may end in a 5xx, and a good one must work afterwards.

python benchmarks/serving_fuzz.py [--requests 1000] [--seed 0] [--model FOLDER]

Starts the server itself, on loopback. Exits with 1 on a 5xx, a crash, a request that was not refused as it
had to be, or one that got no answer in time.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import re
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hostile.request import HostileRequest, Target, good_request
from hostile.stream import requests
from servers import running, targets, tiny_model

LIMITS = {"body_bytes": 1 << 20, "body_seconds": 2.0, "pixels": 1 << 20}
CLIENTS = 6
TIMEOUT_SECONDS = 60.0
TIMEOUT_OF_SLOW_CLIENTS = 6.0
REQUESTS_BETWEEN_CHECKS = 200

_STATUS = re.compile(rb"^HTTP/1\.[01] (\d{3})", re.MULTILINE)


@dataclass(frozen=True)
class Taken:
    """How the server took a request: the statuses it answered, and the seconds until then."""

    request: HostileRequest
    statuses: tuple[int, ...]
    seconds: float
    answer: bytes

    @property
    def outcome(self) -> str:
        return str(self.statuses[-1]) if self.statuses else "no answer"

    @property
    def problem(self) -> str | None:
        """What is wrong with how it was taken."""
        status = self.statuses[-1] if self.statuses else None
        if any(each >= 500 for each in self.statuses):
            return f"answered {self.outcome}: {self.answer[-300:]!r}"
        if self.request.expected == "any":
            return None if self.statuses or self.request.slow else "got no answer"
        wanted = 4 if self.request.expected == "refused" else 2
        if status is None or status // 100 != wanted:
            return f"should have been {self.request.expected}: {self.outcome}, {self.answer[-300:]!r}"
        if wanted == 4 and not re.search(rb"\r\n\r\n.*\w+ \w+", self.answer, re.DOTALL):
            return f"was refused without a sentence: {self.answer[-300:]!r}"
        return None


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or tiny_model(Path(folder, "model"))
        with running("ray", model, LIMITS) as (port, server):
            takes, problems = fuzz(port, targets("ray", LIMITS["body_bytes"]), options.requests, options.seed)
            if server.poll() is not None:
                problems.append(f"the server ended with status {server.returncode}")
    print(table("ray", takes))
    for problem in problems[:40]:
        print(f"- {problem}", file=sys.stderr)
    print(f"{len(problems)} problems", file=sys.stderr)
    return bool(problems)


def fuzz(port: int, paths: list[Target], count: int, seed: int) -> tuple[list[Taken], list[str]]:
    """Send hostile requests, several at a time, and a good one to every path now and then."""
    share = -(-count // len(paths))
    mixed = itertools.islice(_in_turn([requests(path, share, seed + at) for at, path in enumerate(paths)]), count)
    takes: list[Taken] = []
    problems = []
    with ThreadPoolExecutor(CLIENTS) as clients:
        while chosen := list(itertools.islice(mixed, REQUESTS_BETWEEN_CHECKS)):
            takes += clients.map(lambda request: send(port, request), chosen)
            for path in paths:
                good = send(port, HostileRequest("a good request", good_request(path), "answered"))
                if problem := good.problem or _without_image(good.answer):
                    problems.append(f"a good request to {path.path} after {len(takes)} hostile ones {problem}")
    return takes, [f"{taken.request.name} {taken.problem}" for taken in takes if taken.problem] + problems


def send(port: int, request: HostileRequest) -> Taken:
    """Send a request's bytes over a connection of its own, and read what comes back."""
    timeout = TIMEOUT_OF_SLOW_CLIENTS if request.slow else TIMEOUT_SECONDS
    started = time.monotonic()
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        # A server that has refused it closes its side, while more is still sent.
        with contextlib.suppress(OSError):
            connection.sendall(request.content)
        with contextlib.suppress(OSError):
            while time.monotonic() - started < timeout and (part := connection.recv(1 << 16)):
                received += part
    statuses = tuple(int(status) for status in _STATUS.findall(received) if status >= b"200")
    return Taken(request, statuses, time.monotonic() - started, received)


def table(server: str, takes: Iterable[Taken]) -> str:
    """Markdown: how many requests got which answer, and how long the slowest took."""
    takes = list(takes)
    counts = Counter(taken.outcome for taken in takes)
    lines = [f"| {server}: answer | requests | slowest |", "| --- | --: | --: |"]
    for outcome, count in sorted(counts.items()):
        slowest = max(taken.seconds for taken in takes if taken.outcome == outcome)
        lines.append(f"| {outcome} | {count} | {slowest:.1f} s |")
    lines.append(f"| all | {len(takes)} | |")
    return "\n".join(lines)


def _without_image(answer: bytes) -> str | None:
    content = json.loads(answer.partition(b"\r\n\r\n")[2])
    row = content["predictions"][0] if "predictions" in content else content
    return None if row["inpainted"].startswith("iVBOR") else f"holds no image: {answer[:200]!r}"


def _in_turn(streams: list[list[HostileRequest]]) -> Iterable[HostileRequest]:
    for several in zip(*streams, strict=True):
        yield from several


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path, help="folder of a released model (default: one of random weights)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
