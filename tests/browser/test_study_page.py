"""The page of the user study as a person uses it, in Chromium: mouse, keyboard, a phone, a lost connection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fabricated_runs import COUNT, DATASET, fabricate_runs
from study_server import start_study

from pipelines.report.study.votes import Choice, Vote, VoteBox
from pipelines.settings.layout import StudyPaths

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TOTAL = 4
"""Pairs each person is asked."""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Where the study is served, and its file of votes."""
    folder = tmp_path_factory.mktemp("study")
    fabricate_runs(folder, COUNT)
    process, port = start_study(folder, f"--per-person={TOTAL}")
    yield f"http://127.0.0.1:{port}", folder / StudyPaths(DATASET).votes
    process.terminate()
    process.wait(30)


@pytest.fixture
def address(study: tuple[str, Path]) -> str:
    return study[0]


@pytest.fixture
def votes(study: tuple[str, Path]):
    """Gives the votes stored since the test began."""
    box = VoteBox(study[1])
    before = len(box.all())
    yield lambda: box.all()[before:]
    box.close()


@pytest.fixture
def open_study(browser, address: str):
    """Open the study as somebody new; what it asks elsewhere, or complains of, fails the test."""
    contexts, strangers, complaints = [], [], []

    def opened(**window):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **window})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda r: None if r.url.startswith((address, "data:")) else strangers.append(r.url))
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        ready(page, 1)
        return page

    opened.complaints = complaints
    yield opened
    for context in contexts:
        context.close()
    assert strangers == []
    assert complaints == []


def ready(page, number: int) -> None:
    """Wait until a pair can be answered."""
    page.get_by_text(f"Pair {number} of {TOTAL}").wait_for()
    page.wait_for_selector("#study[aria-busy=false]")


def said(vote: Vote) -> str:
    """What was pressed, from what was stored."""
    if vote.choice is Choice.TIE:
        return "tie"
    return "left" if vote.choice is vote.on_left else "right"


def test_the_mouse_answers_every_pair_and_is_thanked(open_study, votes):
    page = open_study()
    names = ("The left one looks better", "The right one looks better", "Cannot tell", "The left one looks better")
    for number, name in enumerate(names, 1):
        ready(page, number)
        page.get_by_role("button", name=name).click()
    page.get_by_role("heading", name="Thank you").wait_for()
    page.get_by_text(f"You have compared {TOTAL} pairs").wait_for()
    assert [said(vote) for vote in votes()] == ["left", "right", "tie", "left"]
    assert len({vote.voter for vote in votes()}) == 1
    page.reload()
    page.get_by_role("heading", name="Thank you").wait_for()


def test_the_keyboard_alone_is_enough(open_study, votes):
    page = open_study()
    for number, key in enumerate(("ArrowRight", "Space", "ArrowDown", "ArrowLeft"), 1):
        ready(page, number)
        page.keyboard.press(key)
    page.get_by_role("heading", name="Thank you").wait_for()
    assert [said(vote) for vote in votes()] == ["right", "tie", "tie", "left"]


def test_space_on_a_button_presses_that_button_and_shortcuts_of_the_browser_are_left_alone(open_study, votes):
    page = open_study()
    page.keyboard.press("Control+ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    ready(page, 2)
    assert [said(vote) for vote in votes()] == ["right"]


def test_a_double_click_answers_one_pair(open_study, votes):
    page = open_study()
    page.get_by_role("button", name="The left one looks better").dblclick()
    ready(page, 2)
    assert len(votes()) == 1


def test_three_pictures_of_the_same_size_are_shown_the_hole_between_the_fillings(open_study):
    page = open_study()
    boxes = {name: page.locator(f"[data-place={name}]").bounding_box() for name in ("left", "hole", "right")}
    assert boxes["left"]["x"] + boxes["left"]["width"] <= boxes["hole"]["x"]
    assert boxes["hole"]["x"] + boxes["hole"]["width"] <= boxes["right"]["x"]
    for side in ("y", "width", "height"):
        assert boxes["left"][side] == boxes["right"][side]
    drawn = page.eval_on_selector_all("img[data-place]", "all => all.map(i => [i.naturalWidth, i.src])")
    assert [width for width, _ in drawn] == [32, 32, 32]
    assert len({source for _, source in drawn}) == 3
    assert page.eval_on_selector_all("img[data-place]", "all => all.every(i => i.alt)")


def test_on_a_phone_it_fits_and_a_tap_answers(open_study, votes):
    page = open_study(viewport={"width": 390, "height": 844}, device_scale_factor=2, has_touch=True, is_mobile=True)
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
    left, right, tie = (page.locator(f"[data-answer={answer}]").bounding_box() for answer in ("left", "right", "tie"))
    assert left["y"] == right["y"], "side by side"
    assert left["width"] > 150
    assert tie["y"] + tie["height"] < 844, "all three answers are on the first screen"
    page.locator("[data-answer=right]").tap()
    ready(page, 2)
    assert [said(vote) for vote in votes()] == ["right"]


def test_a_vote_that_did_not_get_through_can_be_sent_again(open_study, votes):
    page = open_study()
    page.route("**/votes", lambda route: route.abort())
    page.keyboard.press("ArrowLeft")
    page.get_by_role("alert").get_by_text("The server cannot be reached; check the connection.").wait_for()
    assert votes() == []
    page.unroute("**/votes")
    page.get_by_role("button", name="Try again").click()
    ready(page, 2)
    assert page.get_by_role("alert").count() == 0
    assert [said(vote) for vote in votes()] == ["left"]
    assert [text for text in open_study.complaints if "ERR_FAILED" not in text] == []
    open_study.complaints.clear()  # the browser's own, of the request that was cut off


def test_a_reload_goes_on_where_one_was(open_study, votes):
    page = open_study()
    page.keyboard.press("ArrowLeft")
    ready(page, 2)
    page.reload()
    ready(page, 2)
    assert page.locator("#bar").evaluate("bar => [bar.value, bar.max]") == [1, TOTAL]


def test_a_second_tab_that_answers_the_same_pair_moves_on(open_study, votes):
    page = open_study()
    second = page.context.new_page()
    second.set_default_timeout(60_000)
    second.goto(page.url)
    ready(second, 1)
    page.keyboard.press("ArrowLeft")
    ready(page, 2)
    second.keyboard.press("ArrowRight")
    ready(second, 2)
    assert [said(vote) for vote in votes()] == ["left"]


def test_people_at_once_have_orders_of_their_own_and_their_votes_apart(open_study, votes):
    pages = [open_study() for _ in range(3)]
    for number in range(1, TOTAL + 1):
        for page in pages:
            ready(page, number)
            page.keyboard.press("ArrowLeft")
    for page in pages:
        page.get_by_role("heading", name="Thank you").wait_for()
    stored = votes()
    assert len(stored) == 3 * TOTAL
    assert len({vote.voter for vote in stored}) == 3
    assert len({(vote.voter, vote.pair) for vote in stored}) == 3 * TOTAL
