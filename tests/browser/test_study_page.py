"""The page of the user study as a person uses it, in Chromium: mouse, keyboard, a phone, a killed server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import ROOT, start_page, windows
from fabricated_runs import COUNT, DATASET, ERRORS, fabricate_runs
from free_port import free_port

from pipelines.report.study.votes import Choice, Vote, VoteBox
from pipelines.settings.layout import StudyPaths
from pipelines.settings.titles import TITLES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TOTAL = 4
"""Pairs each person is asked."""


class Study:
    """``python -m pipelines study`` as a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.address = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        arguments = [f"--params={ROOT / 'params.yaml'}", f"--port={self.port}", f"--per-person={TOTAL}"]
        self.process = start_page(["study", *arguments], self.folder, f"vote at {self.address}")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    study = Study(tmp_path_factory.mktemp("study"))
    fabricate_runs(study.folder, COUNT)
    study.start()
    yield study
    study.kill()


@pytest.fixture
def votes(study: Study):
    """Gives the votes stored since the test began."""
    box = VoteBox(study.folder / StudyPaths(DATASET).votes)
    before = len(box.all())
    yield lambda: box.all()[before:]
    box.close()


@pytest.fixture
def open_study(browser, study: Study):
    """Open the study as somebody new; see :func:`chromium.windows`."""
    with windows(browser, study.address, console=False) as opened:

        def asked(**window):
            page = opened(**window)
            ready(page, 1)
            return page

        yield asked


def ready(page, number: int) -> None:
    """Wait until a pair can be answered: it is shown, and was looked at."""
    page.get_by_text(f"Pair {number} of {TOTAL}").wait_for()
    page.wait_for_timeout(500)


def said(vote: Vote) -> str:
    """What was pressed, from what was stored."""
    if vote.choice is Choice.TIE:
        return "tie"
    return "left" if vote.choice is vote.on_left else "right"


def test_the_mouse_answers_every_pair_and_is_thanked(open_study, votes):
    page = open_study()
    for number, selector in enumerate(("#study-left", "img[data-answer=right]", "#study-tie", "#study-left"), 1):
        ready(page, number)
        page.locator(selector).click()
    page.get_by_role("heading", name="Thank you").wait_for()
    page.get_by_text(f"You have compared {TOTAL} pairs").wait_for()
    assert [said(vote) for vote in votes()] == ["left", "right", "tie", "left"]
    assert len({vote.voter for vote in votes()}) == 1
    page.reload()
    page.get_by_role("heading", name="Thank you").wait_for()


def test_the_keyboard_alone_is_enough_and_a_second_press_answers_one_pair(open_study, votes):
    page = open_study()
    page.keyboard.press("Control+ArrowRight")  # a shortcut of the browser
    for number, key in enumerate(("ArrowRight", "Space", "ArrowDown"), 1):
        ready(page, number)
        page.keyboard.press(key)
    ready(page, 4)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.get_by_role("heading", name="Thank you").wait_for()
    assert [said(vote) for vote in votes()] == ["right", "tie", "tie", "left"]


def test_a_double_click_answers_one_pair(open_study, votes):
    page = open_study()
    page.locator("#study-left").dblclick()
    ready(page, 2)
    assert len(votes()) == 1


def test_the_hole_is_between_fillings_of_its_size_and_nothing_tells_the_methods(open_study):
    page = open_study()
    boxes = {name: page.locator(f"[data-place={name}] img").bounding_box() for name in ("left", "hole", "right")}
    assert boxes["left"]["x"] + boxes["left"]["width"] <= boxes["hole"]["x"]
    assert boxes["hole"]["x"] + boxes["hole"]["width"] <= boxes["right"]["x"]
    for side in ("y", "width", "height"):
        assert boxes["left"][side] == pytest.approx(boxes["right"][side], abs=0.5)
    drawn = page.eval_on_selector_all("#study-pair img", "all => all.map(i => [i.naturalWidth, i.src, i.alt])")
    assert [width for width, _, _ in drawn] == [32, 32, 32]
    assert len({source for _, source, _ in drawn}) == 3
    assert all(alternative for _, _, alternative in drawn)
    said = page.content().lower()
    assert [name for name in (*ERRORS, *(TITLES[name] for name in ERRORS)) if name.lower() in said] == []


def test_on_a_phone_it_fits_and_a_tap_answers(open_study, votes):
    page = open_study(viewport={"width": 390, "height": 844}, device_scale_factor=2, has_touch=True, is_mobile=True)
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    left, right = (page.locator(f"img[data-answer={side}]").bounding_box() for side in ("left", "right"))
    assert left["y"] == right["y"], "side by side"
    assert left["width"] > 120
    page.locator("#study-right").tap()
    ready(page, 2)
    assert [said(vote) for vote in votes()] == ["right"]


def test_a_second_tab_that_answers_the_same_pair_moves_on(open_study, votes):
    page = open_study()
    second = page.context.new_page()
    second.set_default_timeout(60_000)
    second.goto(page.url)
    ready(second, 1)
    page.keyboard.press("ArrowLeft")
    ready(page, 2)
    second.keyboard.press("ArrowRight")
    second.get_by_text("your first answer counts").wait_for()
    ready(second, 2)
    assert [said(vote) for vote in votes()] == ["left"]


def test_a_killed_server_loses_no_vote_and_people_vote_on_apart(open_study, votes, study: Study):
    pages = [open_study() for _ in range(2)]
    for page in pages:
        page.keyboard.press("ArrowLeft")
        ready(page, 2)
    study.kill()
    study.start()
    for page in pages:
        page.reload()
        for number in range(2, TOTAL + 1):
            ready(page, number)
            page.keyboard.press("ArrowRight")
        page.get_by_role("heading", name="Thank you").wait_for()
    stored = votes()
    assert len(stored) == 2 * TOTAL
    assert len({vote.voter for vote in stored}) == 2
    assert len({(vote.voter, vote.pair) for vote in stored}) == 2 * TOTAL
    assert sorted(map(said, stored)) == ["left"] * 2 + ["right"] * 6
