"""One filling runs at a time: others wait in line, more than that are told, and the page answers meanwhile."""

from __future__ import annotations

import http.client
import threading

import numpy as np
import pytest
from free_port import free_port

from pipelines.inference.page.limits import PageLimits
from pipelines.inference.page.models import ModelShelf
from pipelines.inference.page.server import running
from pipelines.tracking.model_source import ModelSource
from sgenet.inpainter import Inpainted
from sgenet.inpainter.images import open_image
from sgenet.label_space import OUTDOOR_SCENES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Slow:
    """In the place of an inpainter: paints holes black, when it is let."""

    method_name = "gated_conv"
    can_be_guided = False
    label_space = OUTDOOR_SCENES

    def __init__(self) -> None:
        self.started = threading.Semaphore(0)
        self.may_finish = threading.Event()
        self.at_once = self.most_at_once = 0

    def __call__(self, image, hole, *, texture, details, guide) -> Inpainted:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.started.release()
        assert self.may_finish.wait(120)
        self.at_once -= 1
        black = np.where(hole[..., None], np.uint8(0), image)
        return Inpainted(black, hole, filled=black, source=open_image(image))


@pytest.fixture
def slow():
    return Slow()


@pytest.fixture
def address(slow, models):
    port = free_port()
    shelf = ModelShelf(lambda: [ModelSource("slow", models[1], "folder")], most_loaded=1, load=lambda _: slow)
    with running(shelf, PageLimits(waiting=1), "127.0.0.1", port) as page:
        yield page.local_url.rstrip("/")
        slow.may_finish.set()


def test_a_full_line_is_a_sentence_and_nobody_else_notices(open_page, address, slow):
    pages = [open_page() for _ in range(3)]
    for page in pages:
        page.locator("[data-name=hole]").focus()
        page.keyboard.press("Space")
    fill = [page.get_by_role("button", name="Fill", exact=True) for page in pages]

    fill[0].click()
    pages[0].get_by_text("drawn small first").wait_for()
    assert slow.started.acquire(timeout=60)
    with pages[1].expect_response("**/queue/join*"):
        fill[1].click()
    fill[2].click()
    pages[2].get_by_text("This application is currently busy. Please try again.").wait_for()
    pages[2].locator("#sge-notice").get_by_text("press Fill").wait_for()

    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
    connection.request("GET", "/")
    assert connection.getresponse().status == 200
    assert open_page().locator("[data-name=hole]").get_attribute("data-shown"), "a new visitor sees the first example"

    slow.may_finish.set()
    for page in pages[:2]:
        page.wait_for_selector(".sge-done")
    fill[2].click()
    pages[2].wait_for_selector(".sge-done")
    assert slow.most_at_once == 1
