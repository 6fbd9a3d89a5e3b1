"""A served model in tests: the benchmarks' servers and hostile requests, and a client for good ones."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
from sent import pixels_of
from sent import row as row_of

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from hostile.request import HostileRequest, good_request
from hostile.request import post as post_bytes
from servers import running, targets, tiny_model
from serving_fuzz import fuzz, send

__all__ = [
    "HostileRequest",
    "fuzz",
    "good_request",
    "inpaint",
    "pixels_of",
    "post",
    "post_bytes",
    "row_of",
    "running",
    "scene",
    "send",
    "targets",
    "tiny_model",
]


def scene(seed: int, height: int = 48, width: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """A slope with a few coarse blots, (height, width, 3), and its hole mask (height, width), 255 = missing."""
    blots = np.random.default_rng(seed).integers(0, 120, (8, 8, 3)).repeat(-(-height // 8), 0).repeat(-(-width // 8), 1)
    image = (blots[:height, :width] + np.arange(width)[:, None] * 120 // width).astype(np.uint8)
    hole = np.zeros((height, width), np.uint8)
    hole[height // 6 : height // 2, width // 6 : width // 2] = 255
    return image, hole


def post(port: int, path: str, payload: Any) -> Any:
    """The JSON that a server answers to JSON; what is not 200 is raised."""
    body = json.dumps(payload).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)


def inpaint(port: int, image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The filled image that ``POST /inpaint`` answers."""
    return pixels_of(post(port, "/inpaint", row_of(image, hole))["inpainted"])
