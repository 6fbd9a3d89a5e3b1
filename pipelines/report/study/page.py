"""The page of a study. What reaches the browser says nothing about which method drew what."""

from __future__ import annotations

import re
import sqlite3
import time
from base64 import b64encode
from functools import partial
from typing import Any

import gradio as gr

from pipelines.report.study.interview import ANSWERS, Interview, Question, new_person

TITLE = "Which filling looks better?"

_LOOK_SECONDS = 0.35
"""A second click of a double click answers no pair that was not looked at."""

_STORED = "sgenet-study"
"""Where the browser keeps its random number. What Gradio enciphers it with is no secret: it is the browser's own."""

_INTRODUCTION = f"""<h1>{TITLE}</h1><p>A part of the image was missing and has been filled in two ways. Choose the one
that looks more natural to you: click it, or press ← or →; ↓ or Space where you cannot tell.</p>"""
_FOOTER = "<p>Your answers are stored under a random number that this browser keeps, and nothing else about you.</p>"
_LABELS = {"left": "← Left", "tie": "Cannot tell ↓", "right": "Right →"}
_ALTERNATIVES = {"left": "The image, filled one way", "hole": "The image with its hole, which is white"}
_ALTERNATIVES["right"] = "The image, filled the other way"

STYLE = """
#study-pair .images { display: grid; grid-template-columns: 1fr 1fr 1fr; gap: 12px; }
#study-pair figure { margin: 0; text-align: center; }
#study-pair img { width: 100%; image-rendering: auto; }
#study-pair img:not([data-answer=""]) { cursor: pointer; }
#study-pair progress { width: 100%; }
@media (max-width: 640px) {
  #study-pair .images { grid-template-columns: 1fr 1fr; }
  #study-pair [data-place=hole] { grid-row: 2; grid-column: 1 / 3; width: 50%; justify-self: center; }
  #study-answers { flex-wrap: nowrap; }
  #study-answers button { min-width: 0; }
}
"""

_CLICKS = """element.addEventListener("click", (event) => {
  const answer = event.target.dataset.answer;
  if (answer) document.querySelector(`#study-${answer}`).click();
});"""

_KEYS = """() => document.addEventListener("keydown", (event) => {
  const answer = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie", " ": "tie" }[event.key];
  if (!answer || event.repeat || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.key === " " && event.target.closest("button")) return;  // it presses that button, as everywhere
  event.preventDefault();
  document.querySelector(`#study-${answer}`)?.click();
})"""


def build_page(interview: Interview) -> gr.Blocks:
    """The whole page."""
    page: gr.Blocks
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        person = gr.BrowserState("", storage_key=_STORED, secret=_STORED)
        asked = gr.State(None)
        gr.HTML(_INTRODUCTION)
        pair = gr.HTML(js_on_load=_CLICKS, elem_id="study-pair")
        with gr.Row(elem_id="study-answers"):
            buttons = [gr.Button(_LABELS[answer], elem_id=f"study-{answer}", visible=False) for answer in ANSWERS]
        gr.HTML(_FOOTER)
        outputs = [person, asked, pair, *buttons]
        # Many people vote at once; nobody waits in line.
        at_once: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        page.load(partial(_show, interview), [person], outputs, **at_once).then(None, js=_KEYS)
        for answer, button in zip(ANSWERS, buttons, strict=True):
            button.click(partial(_answer, interview, answer), [person, asked], outputs, **at_once)
    return page


def _answer(interview: Interview, answer: str, person: str, asked: tuple[Question, float] | None) -> list[Any]:
    """Store the answer and show the next pair. Without a pair (after a restart of the server), only show one."""
    note = ""
    if asked is not None:
        question, shown_at = asked
        if time.monotonic() - shown_at < _LOOK_SECONDS:
            return [gr.skip()] * (3 + len(ANSWERS))
        try:
            if not interview.answer(person, question, answer):
                note = "You have compared this pair before, and your first answer counts."
        except sqlite3.Error as error:
            raise gr.Error(
                f"The answer could not be stored ({error}). Try again, and tell whoever runs the study."
            ) from None
    return _show(interview, person, note)


def _show(interview: Interview, person: str, note: str = "") -> list[Any]:
    """The browser's number, the question with the time, how it is shown, and the buttons."""
    if not isinstance(person, str) or not re.fullmatch("[0-9a-f]{32}", person):
        person = new_person()
    question = interview.question(person)
    if question is None:
        pairs = "1 pair" if interview.total == 1 else f"{interview.total} pairs"
        thanks = (
            f"<h2>Thank you</h2><p>You have compared {pairs}. Your answers are stored; you can close this page.</p>"
        )
        return [person, None, thanks, *([gr.update(visible=False)] * len(ANSWERS))]
    shown = _as_html(interview.images(question), question.number, interview.total, note)
    return [person, (question, time.monotonic()), shown, *([gr.update(visible=True)] * len(ANSWERS))]


def _as_html(images: dict[str, bytes], number: int, total: int, note: str) -> str:
    """The images lie in the page itself: no address, date or tag tells which of them belong together."""
    figures = "".join(
        f'<figure data-place="{place}"><img data-answer="{place if place in ANSWERS else ""}" '
        f'alt="{_ALTERNATIVES[place]}" src="data:image/png;base64,{b64encode(content).decode()}"></figure>'
        for place, content in images.items()
    )
    return (
        f'<h2 aria-live="polite">Pair {number} of {total}</h2><progress max="{total}" value="{number - 1}"></progress>'
        f'<p role="status">{note}</p>'
        f'<div class="images">{figures}</div>'
    )
