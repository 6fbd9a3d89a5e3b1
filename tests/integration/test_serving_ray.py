"""The Ray Serve application as its users meet it: many at once, hostile, and stopped while at work."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pytest
from served import (
    HostileRequest,
    fuzz,
    good_request,
    inpaint,
    pixels_of,
    post_bytes,
    row_of,
    running,
    scene,
    send,
    targets,
    tiny_model,
)

from pipelines.inference.server.limits import ServingLimits
from sgenet.inpainter import Inpainter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

BODY_BYTES = 1 << 20
UNDER_WAY = ServingLimits().under_way
LIMITS = {"body_bytes": BODY_BYTES, "body_seconds": 3.0, "pixels": 1 << 20}


class Served(NamedTuple):
    port: int
    process: subprocess.Popen[bytes]
    inpainter: Inpainter


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    model = tiny_model(tmp_path_factory.mktemp("model"))
    with running("ray", model, LIMITS) as (port, process):
        yield Served(port, process, Inpainter.load(model))


def test_images_of_many_people_are_filled_together_and_not_mixed_up(served: Served) -> None:
    # Of two sizes, so that what is in one batch has to be told apart.
    scenes = [scene(seed, 48, 64 + 16 * (seed % 2)) for seed in range(8)]
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda each: inpaint(served.port, *each), scenes))
    for (image, hole), answered in zip(scenes, answers, strict=True):
        drawn = served.inpainter(image, hole, texture="exemplar").image
        np.testing.assert_array_equal(answered[hole == 0], image[hole == 0])
        # A batch may round differently from an image alone.
        np.testing.assert_allclose(answered.astype(int), drawn.astype(int), atol=1)


def test_what_is_served_says_what_it_is(served: Served) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{served.port}/model", timeout=30) as answer:
        described = json.load(answer)
    assert (described["method"], described["limits"]["under_way"]) == ("sge_net", UNDER_WAY)
    assert described["classes"][:2] == ["background", "sky"]


def test_hostile_requests_are_refused_and_good_ones_work_afterwards(served: Served) -> None:
    takes, problems = fuzz(served.port, targets("ray", BODY_BYTES), 60, seed=1)
    assert problems == []
    assert len(takes) == 60


def test_a_crowd_is_told_to_come_back_while_health_is_answered(served: Served) -> None:
    target = targets("ray", BODY_BYTES)[0]
    waiting: list[socket.socket] = []
    try:
        # A busy machine may pass on the one too many first, or be done with one before the others are there.
        for _ in range(10):
            for _ in range(UNDER_WAY):
                waiting.append(socket.create_connection(("127.0.0.1", served.port)))
                waiting[-1].sendall(good_request(target)[:-10])
            refused = send(served.port, HostileRequest("one too many", good_request(target)))
            if refused.statuses != (200,):
                break
        with urllib.request.urlopen(f"http://127.0.0.1:{served.port}/healthz", timeout=30) as health:
            assert health.status == 200
    finally:
        for connection in waiting:
            connection.close()
    assert refused.statuses == (429,)
    assert b"retry-after: " in refused.answer.lower()
    # Who comes back as told is answered, once the server has seen that the others have left.
    for _ in range(30):
        later = send(served.port, HostileRequest("later", good_request(target), "answered"))
        if later.statuses != (429,):
            break
        time.sleep(1)
    assert later.problem is None


def test_what_is_under_way_is_finished_when_the_server_is_stopped(served: Served) -> None:
    target = targets("ray", BODY_BYTES)[0]
    image, hole = scene(0, 768, 1024)
    body = json.dumps(row_of(image, hole))
    client = http.client.HTTPConnection("127.0.0.1", served.port, timeout=300)
    client.request("POST", "/inpaint", body, {"Content-Type": "application/json"})
    # Refusals of a replica wait for no image: when they are here, what was sent before has come to it.
    for _ in range(2):
        assert send(served.port, HostileRequest("no row", post_bytes(target, b"{}"))).statuses == (400,)
    served.process.send_signal(signal.SIGTERM)
    statuses = []
    while 503 not in statuses:
        taken = send(served.port, HostileRequest("no row", post_bytes(target, b"{}")))
        assert set(taken.statuses) <= {400, 503}
        statuses += taken.statuses
    answer = client.getresponse()
    assert answer.status == 200
    assert pixels_of(json.load(answer)["inpainted"]).shape == image.shape
    assert served.process.wait(timeout=120) == 0
