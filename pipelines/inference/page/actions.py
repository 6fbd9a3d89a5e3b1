"""What the page shows after each thing a visitor does, as plain values: the page only hands them on."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import numpy as np

from pipelines.inference.images import Photo, encode_label, encode_photo
from pipelines.inference.page import views
from pipelines.inference.page.examples import EXAMPLES, example_photo
from pipelines.inference.page.images import Pixels, data_address, display_size, open_upload, shrink
from pipelines.inference.page.layers import MARKED, Layer, encode_layer, resize_layer
from pipelines.inference.page.limits import PageLimits
from pipelines.inference.page.models import ModelShelf
from pipelines.inference.page.session import (
    Filling,
    Session,
    edited,
    fill,
    keep,
    refill,
    take_back,
    why_not_editable,
)
from sgenet.errors import UserError
from sgenet.inpainter import Texture

logger = logging.getLogger(__name__)

_Given = ParamSpec("_Given")

OPENED = "Mark what should be filled, then press Fill."
RESULT_TAB = "result"
_SLOW_PIXELS = 4_000_000
"""With a large hole, half a minute on one core."""
RESULT_HERE = (
    "Results appear here: the filled image, its segmentation, the confidence, and the prediction of each scale."
)


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What changes on the page; None leaves a part as it is.

    Attributes:
        session: of the visitor.
        hole: value of the hole's canvas.
        results: the views before and after, segmentation, confidence, scales.
        classes: value of the classes' canvas.
        downloads: (file name, title, PNG) of the filled images, then of the segmentation.
        keep: what the buttons say that continue from a result, one for each.
        can_take_back: whether there is a fill to take back.
        tab: of the results, to be shown.
        notice: what happened, as HTML.
    """

    session: Session | None = None
    hole: dict[str, Any] | None = None
    results: tuple[str, str, str, str] | None = None
    classes: dict[str, Any] | None = None
    downloads: tuple[tuple[str, str, bytes], ...] | None = None
    keep: tuple[str, ...] | None = None
    can_take_back: bool | None = None
    tab: str | None = None
    notice: str = ""


def _guarded(remedy: str) -> Callable[[Callable[_Given, Shown]], Callable[_Given, Shown]]:
    """Shows a sentence in place of what an action raises."""

    def around(act: Callable[_Given, Shown]) -> Callable[_Given, Shown]:
        @wraps(act)
        def guarded(*args: _Given.args, **options: _Given.kwargs) -> Shown:
            try:
                return act(*args, **options)
            except UserError as error:
                sentence = str(error)
            except Exception:
                logger.exception("an action of the web page failed")
                sentence = f"Something went wrong on our side, and the server's log says what; {remedy}."
            return Shown(notice=views.notice(sentence[:1].upper() + sentence[1:], "problem"))

        return guarded

    return around


class Actions:
    """Everything a visitor can do, bound to the models and the limits.

    Nothing here raises: what a person can set right becomes a sentence on the page, and what is our own
    fault is logged with its traceback and reported as ours.
    """

    def __init__(self, shelf: ModelShelf, limits: PageLimits) -> None:
        self._shelf, self._limits = shelf, limits

    @_guarded("choose another example")
    def open_example(self, number: object) -> Shown:
        """Start with an example; its number comes from the browser, and so may be anything."""
        if not isinstance(number, int) or not 0 <= number < len(EXAMPLES):
            raise UserError("there is no such example; reload the page")
        return self._opened(example_photo(number), EXAMPLES[number].title)

    @_guarded("try another image")
    def open_file(self, path: Path) -> Shown:
        """Start with an uploaded file."""
        return self._opened(open_upload(path, self._limits), path.stem)

    @_guarded("try again")
    def fill(self, session: Session, hole_layer: object, models: Sequence[str], texture: Texture = "exemplar") -> Shown:
        """Fill what is marked."""
        return self._filled(lambda: fill(session, hole_layer, models, self._shelf, texture))

    @_guarded("try again")
    def refill(self, session: Session, class_layer: object) -> Shown:
        """Fill again with painted classes."""
        return self._filled(lambda: refill(session, class_layer, self._shelf))

    @_guarded("try again")
    def keep(self, session: Session, number: int) -> Shown:
        """Continue from a result; it stays where it can be downloaded."""
        after = keep(session, number)
        return Shown(
            session=after,
            hole=_shown_image(after.image),
            classes=_shown_segmentation(after),
            keep=(),
            can_take_back=True,
            notice=views.notice("Mark what should go next, then press Fill."),
        )

    @_guarded("try again")
    def take_back(self, session: Session) -> Shown:
        """Return to the photo before the last fill, with its hole marked."""
        before, hole = take_back(session)
        return replace(
            self._shown(before, _shown_image(before.image, hole)),
            notice=views.notice("The last fill is taken back; change what is marked, or mark something else."),
        )

    def _opened(self, photo: Photo, name: str) -> Shown:
        session = Session(photo, name)
        sentences = [OPENED]
        if session.image.shape[:2] != photo.size:
            height, width = photo.size
            sentences.append(f"It is shown smaller than its {width}×{height} pixels, and filled at full size.")
        sentences += [f"{doubt[:1].upper()}{doubt[1:]}." for doubt in photo.warnings]
        return replace(self._shown(session, _shown_image(session.image)), notice=views.notice(" ".join(sentences)))

    def _shown(self, session: Session, hole: dict[str, Any]) -> Shown:
        """A photo of which nothing is filled."""
        return Shown(
            session=session,
            hole=hole,
            results=(views.absent(RESULT_HERE),) * 4,
            classes=_shown_segmentation(session),
            downloads=(),
            keep=(),
            can_take_back=bool(session.history),
        )

    def _filled(self, run: Callable[[], Session]) -> Shown:
        started = time.monotonic()
        session = run()
        seconds = time.monotonic() - started
        fillings = session.fillings
        return Shown(
            session=session,
            results=(
                views.before_and_after(session.image, fillings),
                views.segmentation(fillings),
                views.confidence(fillings),
                views.scales(fillings),
            ),
            classes=_shown_segmentation(session),
            downloads=_downloads(session),
            keep=_keep_titles(session),
            can_take_back=True,
            tab=RESULT_TAB,
            notice=views.notice(_summary(session, seconds), "done"),
        )


def meanwhile(session: Session) -> str:
    """What is said while an image is filled, as HTML."""
    if session.photo is None:
        return views.notice(OPENED)
    height, width = session.photo.size
    long = ", which can take minutes" if height * width > _SLOW_PIXELS else ""
    return views.notice(
        f"Filling, after any fill that waits: drawn small first, then at {width}×{height} pixels{long}."
    )


def _shown_image(pixels: Pixels, painted: Layer | None = None) -> dict[str, Any]:
    """An image on a canvas, as ``static/painter.js`` reads it, with what (H, W) is painted on it already."""
    size = display_size(pixels.shape[0], pixels.shape[1])
    return {
        # An image that is opened twice is shown again, too.
        "id": uuid.uuid4().hex,
        "image": data_address(shrink(pixels)),
        "width": size[1],
        "height": size[0],
        "painted": None if painted is None else encode_layer(resize_layer(painted, size)),
    }


def _shown_segmentation(session: Session) -> dict[str, Any]:
    """The segmentation to edit, on a canvas: the network's own, under what was painted last; or why there is none."""
    first = edited(session)
    if first is None:
        return {"id": uuid.uuid4().hex, "sentence": why_not_editable(session)}
    inpainted, names = first.inpainted, first.label_space
    assert inpainted.label is not None, "only methods with a segmentation are edited"
    guide = next((filling.guide for filling in session.fillings if filling.guide is not None), None)
    size = display_size(inpainted.hole.shape[0], inpainted.hole.shape[1])
    return {
        **_shown_image(inpainted.image, guide),
        "labels": encode_layer(resize_layer(inpainted.label, size)),
        "hole": encode_layer(resize_layer(inpainted.hole.astype(np.uint8) * MARKED, size)),
        "classes": [
            {"name": name, "colour": list(colour)} for name, colour in zip(names.names, names.colours, strict=True)
        ],
    }


def _summary(session: Session, seconds: float) -> str:
    last = session.fillings[-1]
    if last.guide is not None:
        return f"Filled again with your classes in {seconds:.1f} s; the first filling stays beside it."
    share = f"{last.inpainted.hole.mean():.1%}"
    many = f"by {len(session.fillings)} models " if len(session.fillings) > 1 else ""
    return f"Filled {share} of the image {many}in {seconds:.1f} s."


def _kind(filling: Filling) -> str:
    return "your classes" if filling.guide is not None else filling.method


def _keep_titles(session: Session) -> tuple[str, ...]:
    if len(session.fillings) == 1:
        return ("Continue from this result",)
    return tuple(f"Continue from this result ({_kind(filling)})" for filling in session.fillings)


def _downloads(session: Session) -> tuple[tuple[str, str, bytes], ...]:
    words = "".join(letter if letter.isalnum() else " " for letter in session.name).split()
    stem = "-".join(words).lower()[:60] or "image"
    files: list[tuple[str, str, bytes]] = []
    for number, filling in enumerate(session.fillings, start=1):
        kind, several = _kind(filling), len(session.fillings) > 1
        name = f"{stem}-filled-{number}.png" if several else f"{stem}-filled.png"
        files.append((name, f"Download ({kind})" if several else "Download", encode_photo(filling.photo)))
    last = next((filling for filling in reversed(session.fillings) if filling.label is not None), None)
    if last is not None and last.label is not None:
        content = encode_label(last.label, last.label_space)
        files.append((f"{stem}-segmentation.png", "Download segmentation", content))
    return tuple(files)
