"""What one visitor does: open a photo, fill its hole with one or two models, paint classes, fill again, go on.

Plain functions from a session to the next; the page shows what they return.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipelines.inference.images import Photo, filled_photo
from pipelines.inference.page.images import Pixels, display_size, shrink
from pipelines.inference.page.layers import MARKED, Layer, decode_guide, decode_hole, resize_layer
from pipelines.inference.page.models import ModelShelf, method_title
from pipelines.parallel.torch_thread import in_torch_thread
from sgenet.errors import UserError
from sgenet.inpainter import Inpainted, Texture
from sgenet.label_space import IGNORE_ID, LabelSpace

_KEPT_BYTES = 512 * 2**20
"""Bytes of the photos that a visitor may take fills back to; the latest one is kept whatever its size."""


@dataclass(frozen=True, eq=False)
class Filling:
    """A filled photo and the model that filled it.

    Attributes:
        model: the title it was chosen by.
        method: such as ``SGE-Net``.
        label_space: the classes that the model knows.
        can_be_guided: whether painted classes change what it draws.
        photo: the result at the photo's own size.
        hole: (H, W) bool, True = was missing.
        label: (H, W) uint8 class ids, or None for a method that predicts no segmentation.
        inpainted: the same with its details, as large as it is shown.
        texture: where its texture comes from.
        guide: (H, W) the painted classes that it followed, 255 = none; None without any.
    """

    model: str
    method: str
    label_space: LabelSpace
    can_be_guided: bool
    photo: Photo
    hole: npt.NDArray[np.bool_]
    label: Layer | None
    inpainted: Inpainted
    texture: Texture = "exemplar"
    guide: Layer | None = None

    @property
    def title(self) -> str:
        """The heading above its images."""
        return self.model if self.guide is None else f"Your classes · {self.model}"


@dataclass(frozen=True, eq=False)
class Step:
    """What a fill that was kept can be taken back to: the photo before it, and its hole as it was shown."""

    photo: Photo
    hole: Layer


# Compared by identity: the page's framework hashes it, and arrays have no hash.
@dataclass(frozen=True, eq=False)
class Session:
    """One visitor's state.

    Attributes:
        photo: None before one was opened.
        name: of the photo, to name downloads by.
        fillings: one a chosen model, or the unguided and the guided one.
        history: of the fills that were kept, the latest last.
    """

    photo: Photo | None = None
    name: str = "image"
    fillings: tuple[Filling, ...] = ()
    history: tuple[Step, ...] = ()

    @cached_property
    def image(self) -> Pixels:
        """The photo as it is shown, uint8 RGB."""
        assert self.photo is not None, "nothing is shown without a photo"
        return shrink(self.photo.rgb)


def keep(session: Session, number: int) -> Session:
    """Continue from a result: it is the photo now, and nothing is filled.

    Raises:
        UserError: there is no such result.
    """
    if session.photo is None or not 0 <= number < len(session.fillings):
        raise UserError("There is no result to continue from: mark a hole and fill it first.")
    kept = session.fillings[number]
    history = (*session.history, Step(session.photo, kept.inpainted.hole.astype(np.uint8) * MARKED))
    while len(history) > 1 and sum(step.photo.pixels.nbytes for step in history) > _KEPT_BYTES:
        history = history[1:]
    return Session(kept.photo, session.name, (), history)


def take_back(session: Session) -> tuple[Session, Layer]:
    """The session before the last fill, and the hole as it was marked.

    What is filled and not kept yet is taken back first: the photo is still there.

    Raises:
        UserError: nothing was filled.
    """
    if session.fillings:
        hole = session.fillings[0].inpainted.hole.astype(np.uint8) * MARKED
        return replace(session, fillings=()), hole
    if not session.history:
        raise UserError("There is no fill to take back.")
    step = session.history[-1]
    return Session(step.photo, session.name, (), session.history[:-1]), step.hole


def fill(
    session: Session, hole_layer: object, models: Sequence[str], shelf: ModelShelf, texture: Texture = "exemplar"
) -> Session:
    """Fill the painted hole with every chosen model.

    Args:
        hole_layer: from the browser: what is marked.
        models: titles on the shelf, the same one once.
        texture: where the fillings' texture comes from.

    Raises:
        UserError: one sentence for the visitor: no image, no model, nothing or everything marked.
    """
    if session.photo is None:
        raise UserError("There is no image yet: choose an example or upload one.")
    titles = list(dict.fromkeys(models))
    if not titles:
        raise UserError("No model is chosen: choose one beside the Fill button.")
    height, width = session.photo.size
    hole = decode_hole(hole_layer, display_size(height, width), (height, width))
    if not hole.any():
        raise UserError("Nothing is marked yet: brush or box over what should be filled.")
    if hole.all():
        raise UserError("Everything is marked: leave some of the image for the network to go by.")
    photo = session.photo
    return replace(session, fillings=tuple(_fill(photo, hole, title, shelf, texture) for title in titles))


def refill(session: Session, class_layer: object, shelf: ModelShelf) -> Session:
    """Fill again with painted classes, beside the filling that they correct.

    Args:
        class_layer: from the browser: painted class ids, 255 where nothing is painted.

    Raises:
        UserError: nothing is filled yet, nothing is painted, or no chosen model can be guided.
    """
    first = edited(session)
    if session.photo is None or first is None:
        raise UserError(why_not_editable(session))
    height, width = session.photo.size
    guide = decode_guide(class_layer, display_size(height, width), (height, width), first.label_space.num_classes)
    if (guide == IGNORE_ID).all():
        raise UserError("No class is painted yet: choose a class and paint it where it should appear.")
    guided = _fill(session.photo, first.hole, first.model, shelf, first.texture, guide)
    return replace(session, fillings=(first, guided))


def edited(session: Session) -> Filling | None:
    """The filling whose segmentation is edited: the first that can be guided and is not guided yet."""
    return next((filling for filling in session.fillings if filling.can_be_guided and filling.guide is None), None)


def why_not_editable(session: Session) -> str:
    """One sentence where :func:`edited` finds nothing."""
    if not session.fillings:
        return "Nothing is filled yet: mark a hole and fill it, then its segmentation can be edited here."
    methods = " and ".join(dict.fromkeys(filling.method for filling in session.fillings))
    return f"{methods} cannot be guided by classes: fill with SGE-Net or SG-Net to edit what it thinks is there."


def _fill(
    photo: Photo,
    hole: npt.NDArray[np.bool_],
    title: str,
    shelf: ModelShelf,
    texture: Texture,
    guide: Layer | None = None,
) -> Filling:
    inpainter = shelf.inpainter(title)
    with warnings.catch_warnings():
        # A large hole is a choice here: the visitor sees which part is the hole.
        warnings.simplefilter("ignore", UserWarning)
        inpainted = in_torch_thread(inpainter, photo.pixels, hole, texture=texture, details=True, guide=guide)
    return Filling(
        model=title,
        method=method_title(inpainter.method_name or "this model"),
        label_space=inpainter.label_space,
        can_be_guided=inpainter.can_be_guided,
        photo=filled_photo(photo, inpainted),
        hole=hole,
        label=inpainted.label,
        inpainted=_as_shown(inpainted),
        texture=texture,
        guide=guide,
    )


def _as_shown(inpainted: Inpainted) -> Inpainted:
    """What the page shows of a filling, at the size it is shown in: all of it at full size would take much memory."""
    size = display_size(inpainted.hole.shape[0], inpainted.hole.shape[1])
    if size == inpainted.hole.shape:
        return replace(inpainted, filled=None, source=None)
    confidence = inpainted.confidence
    if confidence is not None:
        confidence = np.asarray(Image.fromarray(confidence).resize(size[::-1], Image.Resampling.BOX))
    return Inpainted(
        shrink(inpainted.image),
        resize_layer(inpainted.hole.astype(np.uint8), size).astype(np.bool_),
        None if inpainted.label is None else resize_layer(inpainted.label, size),
        confidence,
        inpainted.scales,
    )
