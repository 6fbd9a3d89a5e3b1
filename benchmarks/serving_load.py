"""How many images a second a served model fills: `python benchmarks/serving_load.py --model FOLDER [--clients 8]`.

Starts each server on loopback and sends it the same images from several clients, each of which sends its next
image when it has the last one's answer. The first row is the model without a server, one image after
another, in a process of its own. Clients and servers share the machine.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from hostile.images import encoded
from hostile.request import Target, base64_of
from mixed_scenes import processor
from servers import running, targets

BODY_BYTES = 64 << 20


def main() -> int:
    options = _options()
    image, mask = scene(options.side)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        alone = process.submit(direct, options.model, image, mask, options.seconds)
        rows = {"no server, one at a time": alone.result()}
    for server in options.servers:
        with running(server, options.model, {"body_bytes": BODY_BYTES}, options.replicas) as (port, _):
            name = f"{server}, {options.replicas} replicas" if server == "ray" else server
            rows[name] = load(port, targets(server, BODY_BYTES)[0], image, mask, options.clients, options.seconds)
    print(
        f"{options.model}, {options.side}×{options.side} pixels, {options.clients} clients, {options.seconds:g} s; "
        f"{processor()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}\n"
    )
    print(table(rows, options.seconds))
    return 0


def scene(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise on a slope, and a hole over a quarter of it: (side, side, 3) and (side, side), uint8."""
    y, x = np.mgrid[0:side, 0:side] / side
    noise = np.random.default_rng(0).normal(0, 6, (side, side, 3))
    image = (np.stack([90 + 90 * y, 120 + 80 * x, 200 - 60 * y], axis=-1) + noise).clip(0, 255).astype(np.uint8)
    mask = np.zeros((side, side), np.uint8)
    mask[side // 4 : -side // 4, side // 4 : -side // 4] = 255
    return image, mask


def load(port: int, target: Target, image: np.ndarray, mask: np.ndarray, clients: int, seconds: float) -> list[float]:
    """What each request took that was answered within ``seconds``, after a warm-up of a fifth of that."""
    row = {"image": base64_of(encoded(image)), "hole_mask": base64_of(encoded(mask))}
    body = json.dumps(target.wrap(row)).encode()
    start = time.perf_counter()

    def client(_: int) -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        took = []
        while (sent := time.perf_counter()) - start < 1.2 * seconds:
            connection.request("POST", target.path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"answered {answer.status}: {content[:300]!r}")
            answered = time.perf_counter()
            if 0.2 * seconds <= answered - start < 1.2 * seconds:
                took.append(answered - sent)
        return took

    with ThreadPoolExecutor(clients) as pool:
        return [second for took in pool.map(client, range(clients)) for second in took]


def direct(model: Path, image: np.ndarray, mask: np.ndarray, seconds: float) -> list[float]:
    """What each image takes without a server."""
    from sgenet.inpainter import Inpainter

    inpainter = Inpainter.load(model)
    inpainter(image, mask)
    took, start = [], time.perf_counter()
    while (begun := time.perf_counter()) - start < seconds:
        inpainter(image, mask)
        took.append(time.perf_counter() - begun)
    return took


def table(rows: dict[str, list[float]], seconds: float) -> str:
    """Markdown: images a second, the median and the 95th percentile of the time for one, and the ratio of rates."""
    first = None
    lines = ["| | images/s | p50 | p95 | to no server |", "| --- | --: | --: | --: | --: |"]
    for name, took in rows.items():
        if len(took) < 2:
            raise SystemExit(f"{name}: only {len(took)} images in {seconds:g} s; give more --seconds")
        rate = len(took) / seconds
        first = first or rate
        half, p95 = statistics.median(took) * 1000, statistics.quantiles(took, n=20)[-1] * 1000
        lines.append(f"| {name} | {rate:.2f} | {half:.0f} ms | {p95:.0f} ms | {rate / first:.2f} |")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--model", type=Path, required=True, help="folder of a released model")
    parser.add_argument("--servers", nargs="+", choices=("ray", "mlflow"), default=["ray", "mlflow"])
    parser.add_argument("--replicas", type=int, default=1, help="of the Ray Serve application")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=30.0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
