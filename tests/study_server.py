"""``python -m pipelines study`` as a process of its own, and votes sent to it as a browser sends them."""

from __future__ import annotations

import http.client
import json
import os
import select
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STARTS_WITHIN = 120
"""Seconds; importing PyTorch on a busy machine takes a while."""


def start_study(folder: Path, *arguments: str) -> tuple[subprocess.Popen[str], int]:
    """Start the study of the runs in a folder on a free port; returns its process and the port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "study", f"--params={ROOT / 'params.yaml'}", "--port=0", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], STARTS_WITHIN)
    line = process.stdout.readline() if ready else ""
    assert line.startswith("vote at http://127.0.0.1:"), line
    return process, int(line.split()[2].rpartition(":")[2])


@dataclass
class Person:
    """A browser that votes; ``acknowledged`` are the questions whose votes the server said were stored."""

    port: int
    acknowledged: list[str] = field(default_factory=list)
    cookie: str = ""

    def send(self, method: str, path: str, content: Any = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = None if content is None else json.dumps(content)
        headers = {"Content-Type": "application/json"} | ({"Cookie": self.cookie} if self.cookie else {})
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        self.cookie = (response.getheader("Set-Cookie") or self.cookie).partition(";")[0]
        answer: dict[str, Any] = json.loads(response.read())
        connection.close()
        assert response.status in (200, 201), answer
        return answer

    def ask(self) -> dict[str, Any]:
        return self.send("GET", "/question")

    def vote_until_done(self) -> dict[str, Any]:
        """Answer every question; raises where the server goes away."""
        content = self.ask()
        while content["question"] is not None:
            voted = content["question"]
            content = self.send("POST", "/votes", {"question": voted, "answer": "left"})
            self.acknowledged.append(voted)
        return content
