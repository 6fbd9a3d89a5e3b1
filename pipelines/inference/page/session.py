"""What one visitor does: open a picture, fill its hole with one or two models, paint classes, fill again.

Plain functions from a session to the next; the page shows what they return.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipelines.inference.page.layers import Layer, decode_guide, decode_hole
from pipelines.inference.page.models import ModelShelf, method_title
from pipelines.inference.page.pictures import Pixels, display_size
from pipelines.parallel.torch_thread import in_torch_thread
from sgenet.errors import UserError
from sgenet.label_space import IGNORE_ID, LabelSpace

if TYPE_CHECKING:
    from sgenet.inpainter import Inpainted


@dataclass(frozen=True, eq=False)
class Filling:
    """A filled picture and the model that filled it.

    Attributes:
        model: the title it was chosen by.
        method: such as ``SGE-Net``.
        label_space: the classes that the model knows.
        can_be_guided: whether painted classes change what it draws.
        inpainted: with its details.
        guide: (H, W) the painted classes that it followed, 255 = none; None without any.
    """

    model: str
    method: str
    label_space: LabelSpace
    can_be_guided: bool
    inpainted: Inpainted
    guide: Layer | None = None

    @property
    def title(self) -> str:
        """What stands above its pictures."""
        return self.model if self.guide is None else f"Your classes · {self.model}"


# Compared by identity: the page's framework hashes it, and arrays have no hash.
@dataclass(frozen=True, eq=False)
class Session:
    """One visitor's state.

    Attributes:
        picture: (H, W, 3), or None before one was opened.
        name: of the picture, to name downloads by.
        fillings: one a chosen model, or the unguided and the guided one.
    """

    picture: Pixels | None = None
    name: str = "picture"
    fillings: tuple[Filling, ...] = ()


def open_picture(picture: Pixels, name: str) -> Session:
    """A session with a new picture and nothing filled."""
    return Session(picture, name)


def fill(session: Session, hole_layer: object, models: Sequence[str], shelf: ModelShelf) -> Session:
    """Fill the painted hole with every chosen model.

    Args:
        hole_layer: from the browser: what is marked.
        models: titles on the shelf, the same one once.

    Raises:
        UserError: one sentence for whoever sits before the page: no picture, no model, nothing or everything marked.
    """
    if session.picture is None:
        raise UserError("There is no picture yet: choose an example or upload one.")
    titles = list(dict.fromkeys(models))
    if not titles:
        raise UserError("No model is chosen: choose one beside the Fill button.")
    height, width = session.picture.shape[:2]
    hole = decode_hole(hole_layer, display_size(height, width), (height, width))
    if not hole.any():
        raise UserError("Nothing is marked yet: brush or box over what should be filled.")
    if hole.all():
        raise UserError("Everything is marked: leave some of the picture for the network to go by.")
    return replace(session, fillings=tuple(_fill(session.picture, hole, title, shelf) for title in titles))


def refill(session: Session, class_layer: object, shelf: ModelShelf) -> Session:
    """Fill again with painted classes, beside the filling that they correct.

    Args:
        class_layer: from the browser: painted class ids, 255 where nothing is painted.

    Raises:
        UserError: nothing is filled yet, nothing is painted, or no chosen model can be guided.
    """
    first = edited(session)
    if session.picture is None or first is None:
        raise UserError(why_not_editable(session))
    height, width = session.picture.shape[:2]
    guide = decode_guide(class_layer, display_size(height, width), (height, width), first.label_space.num_classes)
    if (guide == IGNORE_ID).all():
        raise UserError("No class is painted yet: choose a class and paint it where it should appear.")
    guided = _fill(session.picture, first.inpainted.hole, first.model, shelf, guide)
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
    picture: Pixels, hole: npt.NDArray[np.bool_], title: str, shelf: ModelShelf, guide: Layer | None = None
) -> Filling:
    inpainter = shelf.inpainter(title)
    with warnings.catch_warnings():
        # A large hole is a choice here: whoever painted it sees which part is the hole.
        warnings.simplefilter("ignore", UserWarning)
        inpainted = in_torch_thread(inpainter, picture, hole, texture="exemplar", details=True, guide=guide)
    return Filling(
        model=title,
        method=method_title(inpainter.method_name or "this model"),
        label_space=inpainter.label_space,
        can_be_guided=inpainter.can_be_guided,
        inpainted=inpainted,
        guide=guide,
    )
