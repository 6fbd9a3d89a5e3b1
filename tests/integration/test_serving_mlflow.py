"""``mlflow models serve`` on a registered model, as the documents say to use it."""

from __future__ import annotations

import urllib.error
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
from served import HostileRequest, fuzz, pixels_of, post, row_of, running, scene, send, targets, tiny_model

from sgenet.inpainter import Inpainter

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

BODY_BYTES = 1 << 20
LIMITS = {"body_bytes": BODY_BYTES, "body_seconds": 3.0, "pixels": 1 << 20, "rows": 3}


class Served(NamedTuple):
    port: int
    inpainter: Inpainter


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    model = tiny_model(tmp_path_factory.mktemp("model"))
    with running("mlflow", model, LIMITS) as (port, _):
        yield Served(port, Inpainter.load(model))


def test_rows_are_answered_with_what_the_inpainter_draws(served: Served) -> None:
    scenes = [scene(seed, 48 + seed, 64) for seed in range(2)]
    answered = post(served.port, "/invocations", {"inputs": [row_of(*each) for each in scenes]})
    for (picture, hole), prediction in zip(scenes, answered["predictions"], strict=True):
        drawn = served.inpainter(picture, hole, texture="exemplar")
        filled = pixels_of(prediction["inpainted"])
        np.testing.assert_array_equal(filled[hole == 0], picture[hole == 0])
        np.testing.assert_allclose(filled.astype(int), drawn.image.astype(int), atol=1)
        assert prediction["confidence"] == pytest.approx(drawn.hole_confidence, abs=1e-4)


def test_limits_of_the_environment_hold(served: Served) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(served.port, "/invocations", {"inputs": [row_of(*scene(0))] * 4})
    assert caught.value.code == 413
    assert b"send at most 3" in caught.value.read()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        # What MLflow 3.17 answers by itself: 500, 500, 500, and 200 after reading all of it.
        (b"[" * 100_000, 400),
        (b'{"inputs": ' + b"9" * 10_000 + b"}", 400),
        (None, 415),
        (b" " * (BODY_BYTES + 1), 413),
    ],
)
def test_what_breaks_the_bare_scoring_server_is_refused(served: Served, body: bytes | None, status: int) -> None:
    kind = b"" if body is None else b"Content-Type: application/json\r\n"
    head = b"POST /invocations HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n"
    taken = send(served.port, HostileRequest("body", head % (kind, len(body or b"")) + (body or b"")))
    assert taken.statuses == (status,)
    assert b'"message": "' in taken.answer
    assert b"Traceback" not in taken.answer


def test_headers_are_not_taken_in_without_end(served: Served) -> None:
    head = b"POST /invocations HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\nX-Long: "
    taken = send(served.port, HostileRequest("headers", head + b"a" * (8 << 20) + b"\r\n\r\n"))
    # The server may hang up before the client has read that it was refused.
    assert taken.statuses in ((400,), ())


def test_hostile_requests_are_refused_and_good_ones_work_afterwards(served: Served) -> None:
    takes, problems = fuzz(served.port, targets("mlflow", BODY_BYTES), 60, seed=1)
    assert problems == []
    assert len(takes) == 60
