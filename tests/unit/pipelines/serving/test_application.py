"""The HTTP interface of a served model, without a server."""

from __future__ import annotations

import asyncio
import json
import re

import numpy as np
import pytest
from inpainting_files import saved
from sent import mask, pixels_of, random_image, row, text_of
from starlette.testclient import TestClient

from pipelines.inference.images import Photo, decode_photo, encode_photo
from pipelines.inference.server.application import serving_application
from pipelines.inference.server.limits import ServingLimits
from pipelines.inference.server.pairs import PhotoWithHole
from sgenet.inpainter import Inpainted
from sgenet.inpainter.images import open_image

DESCRIPTION = {"name": "sge-net@champion", "version": "3", "method": "sge_net", "classes": ["sky", "tree"]}


async def paint_red(pair: PhotoWithHole) -> Inpainted:
    image = pair.photo.pixels.copy()
    image[pair.hole] = (255, 0, 0)
    confidence = np.full(pair.hole.shape, 0.75, np.float32)
    label = np.ones(pair.hole.shape, np.uint8)
    return Inpainted(image, pair.hole, label, confidence, filled=image, source=open_image(pair.photo.pixels))


def client(fill=paint_red, **limits) -> TestClient:
    return TestClient(serving_application(fill, DESCRIPTION, ServingLimits(**limits)), raise_server_exceptions=False)


def red() -> np.ndarray:
    image = random_image().copy()
    image[mask() > 0] = (255, 0, 0)
    return image


FILES = {"image": ("p.png", saved(random_image())), "hole_mask": ("m.png", saved(mask()))}


def test_json_is_answered_in_json():
    answered = client().post("/inpaint", json=row())
    assert answered.status_code == 200
    content = answered.json()
    np.testing.assert_array_equal(pixels_of(content["inpainted"]), red())
    np.testing.assert_array_equal(pixels_of(content["segmentation"]), np.ones((20, 28)))
    assert content["confidence"] == 0.75


def test_a_form_is_answered_with_the_image():
    answered = client().post("/inpaint", files=FILES)
    assert (answered.status_code, answered.headers["content-type"]) == (200, "image/png")
    np.testing.assert_array_equal(pixels_of(answered.content), red())


def test_the_client_may_say_what_it_wants():
    as_json = client().post("/inpaint", files=FILES, headers={"Accept": "application/json"})
    assert set(as_json.json()) == {"inpainted", "segmentation", "confidence", "warning"}
    as_image = client().post("/inpaint", json=row(), headers={"Accept": "image/png"})
    np.testing.assert_array_equal(pixels_of(as_image.content), red())


def test_rows_are_filled_at_the_same_time_and_answered_in_their_order():
    waiting = []

    async def when_three_wait(pair: PhotoWithHole) -> Inpainted:
        waiting.append(pair)
        while len(waiting) < 3:
            await asyncio.sleep(0.001)
        return await paint_red(pair)

    images = [random_image(seed=seed) for seed in range(3)]
    answered = client(when_three_wait).post("/invocations", json={"inputs": [row(image) for image in images]})
    for image, prediction in zip(images, answered.json()["predictions"], strict=True):
        np.testing.assert_array_equal(pixels_of(prediction["inpainted"])[0], image[0])


def test_what_is_served_can_be_asked():
    described = client(rows=5).get("/model").json()
    assert {key: described[key] for key in DESCRIPTION} == DESCRIPTION
    assert described["limits"]["rows"] == 5
    assert client().get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "sentence"),
    [
        ("POST", "/inpaint", {"content": b"{}", "headers": {"Content-Type": "text/csv"}}, 415, "says text/csv"),
        ("POST", "/inpaint", {"content": b"{}"}, 415, "nothing about its type"),
        ("POST", "/invocations", {"files": FILES}, 415, "says multipart/form-data"),
        ("GET", "/inpaint", {}, 405, "does not take GET"),
        ("DELETE", "/model", {}, 405, "does not take DELETE"),
        ("POST", "/nothing", {"json": {}}, 404, "nothing at this path"),
        ("POST", "/inpaint/", {"json": {}}, 404, "nothing at this path"),
        ("POST", "/invocations", {"json": {"inputs": [row(), {}]}}, 400, "row 1: "),
        ("POST", "/inpaint", {"json": row(hole=mask(9, 9))}, 400, "make a mask of the image's size"),
        ("POST", "/inpaint", {"files": {"image": FILES["image"]}}, 400, "exactly the files image and hole_mask"),
        ("POST", "/inpaint", {"files": FILES, "data": {"x": "y"}}, 400, "cannot be read"),
        ("POST", "/inpaint", {"files": {**FILES, "more": FILES["image"]}}, 400, "cannot be read"),
        (
            "POST",
            "/inpaint",
            {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
            400,
            "cannot be read",
        ),
    ],
)
def test_what_is_wrong_is_4xx_with_a_sentence(method, path, options, status, sentence):
    answered = client().request(method, path, **options)
    assert answered.status_code == status, answered.text
    assert sentence in answered.json()["message"]


def test_the_docs_name_every_route_and_load_nothing_and_the_metrics_count_answers():
    asked = client()
    page = asked.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    for route in ("POST /inpaint", "POST /invocations", "GET /model", "GET /healthz", "GET /metrics"):
        assert route in page.text
    assert "http://testserver/inpaint" in page.text
    assert "src=" not in page.text
    asked.post("/inpaint", json=row())
    asked.post("/inpaint", json={})
    asked.get("/nothing")
    text = asked.get("/metrics").text
    counts = dict(re.findall(r'sgenet_answers_total\{path="([^"]+)",replica="[^"]+",status="200"\} (\S+)', text))
    assert counts == {"/docs": "1.0", "/inpaint": "1.0"}
    assert re.search(r'path="/inpaint",replica="[^"]+",status="400"\} 1.0', text)
    assert re.search(r'path="other",replica="[^"]+",status="404"\} 1.0', text)
    assert re.search(r"sgenet_pixels_total\{[^}]+\} 560.0", text)


def test_a_deep_image_is_answered_with_all_its_bits_and_what_looks_wrong_is_said():
    deep = np.random.default_rng(0).integers(0, 65536, (20, 28, 3), dtype=np.uint16)
    content = encode_photo(Photo(deep, dpi=(300, 300)))
    inverted = saved(255 - mask())
    files = {"image": ("p.png", content), "hole_mask": ("m.png", inverted)}

    async def paint(pair: PhotoWithHole) -> Inpainted:
        colours = np.where(pair.hole[..., None], np.uint16(0), pair.photo.pixels)
        source = open_image(pair.photo.pixels)
        return Inpainted(pair.photo.rgb, pair.hole, filled=colours, source=source)

    answered = client(paint).post("/inpaint", files=files)
    back = decode_photo(answered.content, "the answer")
    np.testing.assert_array_equal(back.pixels[mask() > 0], deep[mask() > 0])
    assert back.dpi == pytest.approx((300, 300), abs=0.1)
    assert json.loads(answered.headers["x-warning"]).startswith("82% of the image is marked as missing")
    texts = {"image": text_of(content), "hole_mask": text_of(inverted)}
    assert client(paint).post("/inpaint", json=texts).json()["warning"].startswith("82% of the image")


def test_too_many_pixels_are_413():
    answered = client(pixels=1000).post("/inpaint", json=row(random_image(40, 40), mask(40, 40)))
    assert answered.status_code == 413


def test_an_answer_that_takes_too_long_is_429():
    async def never(pair: PhotoWithHole) -> Inpainted:
        await asyncio.Event().wait()
        raise AssertionError

    answered = client(never, answer_seconds=0.05).post("/inpaint", json=row())
    assert answered.status_code == 429
    assert answered.headers["retry-after"].isdigit()
    assert "not ready within 0.05 s" in answered.json()["message"]


def test_a_failure_of_ours_is_not_called_the_clients():
    async def fail(pair: PhotoWithHole) -> Inpainted:
        raise RuntimeError("secret details")

    answered = client(fail).post("/inpaint", json=row())
    assert answered.status_code == 500
    assert "secret" not in answered.text
