"""A trained generator behind one call: see :class:`Inpainter`."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sgenet.errors import CheckpointError, DataError, UserError
from sgenet.inpainter.coarse_to_fine import fill
from sgenet.inpainter.exemplar import copy_texture, enough_halvings
from sgenet.inpainter.images import ImageLike, Pixels, open_image, to_eight_bits
from sgenet.inpainter.masks import Guide, Hole, as_guide, check_size, read_hole
from sgenet.inpainter.network import Network
from sgenet.inpainter.pyramid import Floats, Level, to_floats
from sgenet.inpainter.result import Inpainted, read_scales
from sgenet.label_space import IGNORE_ID, LabelSpace
from sgenet.methods.registry import GUIDED_METHODS, UNSEGMENTED_METHODS
from sgenet.methods.release import load_released
from sgenet.precision import device_problem, round_weights
from sgenet.settings import Precision

WORKING_SIDE = 256
"""The crop of the published trainings."""

SHIPPED = "shipped"
"""Names the small model that comes with the code."""

_SHIPPED_IN = ("pipelines", "registry/shipped")  # the package that carries it, and where: a file, nothing is imported

Texture = Literal["network", "exemplar"]
"""Where a filling's texture comes from: what the network drew as it is, or known pixels, which follow its colours and
its layout (:mod:`sgenet.inpainter.exemplar`)."""


class Inpainter:
    """Fills holes in images of any size with a trained generator, on the device the generator is on.

    It keeps no state between calls, so that several threads may call it.

    Args:
        generator: maps (image (B, 3, H, W) float in [-1, 1], hole_mask (B, 1, H, W) float, 1 = missing)
            to a :class:`~sgenet.batch.Prediction`; H and W are multiples of 16. A guided
            method's takes the guide (B, H, W) int64 as a third argument.
        label_space: the classes it predicts.
        method_name: a key of :data:`sgenet.methods.registry.METHODS`; None for a generator that is none of these.
        working_side: the side in pixels that the generator was trained on, a multiple of 16. Images
            with no side longer than one and a half of it are filled in one pass, larger ones as
            :mod:`sgenet.inpainter.coarse_to_fine` says.
        precision: ``bfloat16`` is faster where the processor has it, and differs by a few grey levels.

    Raises:
        ValueError: the working side is not a positive multiple of 16.
    """

    def __init__(
        self,
        generator: nn.Module,
        label_space: LabelSpace,
        *,
        method_name: str | None = None,
        working_side: int = WORKING_SIDE,
        precision: Precision = "float32",
    ) -> None:
        if working_side <= 0 or working_side % 16:
            raise ValueError(f"the working side must be a positive multiple of 16, found {working_side}")
        self.label_space = label_space
        self.method_name = method_name
        self.working_side = working_side
        self._network = Network(generator, precision)

    @classmethod
    def load(
        cls,
        folder: Path | str,
        device: torch.device | str = "cpu",
        *,
        working_side: int | None = None,
        precision: Precision = "float32",
    ) -> Inpainter:
        """Load a released model.

        Args:
            folder: holds ``model.safetensors`` and ``model.json``; ``shipped`` is the model that comes with the code.
            device: where the generator runs.
            working_side: None for the side of the crop that the model was trained on.
            precision: as for the class.

        Raises:
            CheckpointError: when the folder does not hold a released model.
            UserError: when this machine has no such device.
        """
        if problem := device_problem(device):
            raise UserError(problem)
        released = load_released(_shipped_folder() if folder == SHIPPED else Path(folder))
        round_weights(released.generator, precision)
        return cls(
            released.generator.to(device),
            released.label_space,
            method_name=released.method_name,
            working_side=working_side or _next_multiple(released.recipe.network.image_size),
            precision=precision,
        )

    @property
    def generator(self) -> nn.Module:
        """The generator, in evaluation mode; one that was loaded for bfloat16 is called under autocast."""
        return self._network.generator

    @property
    def can_be_guided(self) -> bool:
        """Whether a segmentation can be given in place of the predicted one."""
        return self.method_name in GUIDED_METHODS

    def __call__(
        self,
        image: ImageLike,
        hole_mask: Hole,
        *,
        texture: Texture = "network",
        details: bool = False,
        guide: Guide | None = None,
        white_is_hole: bool = True,
    ) -> Inpainted:
        """Fill the hole of one image.

        A hole of nothing leaves the image as it is, and it is segmented all the same. A hole of everything
        is filled with what the network draws for an image of which it sees nothing.

        Args:
            image: a Pillow image (turned upright by its EXIF orientation) or an array (H, W), (H, W, 3) or,
                with alpha, (H, W, 2) or (H, W, 4) of uint8 or uint16. The network does not see fully transparent
                pixels; outside the hole they come back as they were, like all others.
            hole_mask: where pixels are missing, of the image's size as it is seen upright: a Pillow image,
                white = missing, or (H, W) of bool or uint8; 8-bit masks may use 0 and 1, or 0 to 255, where
                128 and more is white: a soft edge is cut in its middle.
            texture: where the filling's texture comes from.
            details: also return what was drawn at every scale.
            guide: (H, W) uint8 class ids, a segmentation to fill by; 255 = the network decides.
            white_is_hole: False where the black (or False) pixels of ``hole_mask`` are the missing ones.

        Raises:
            DataError: image, mask and guide differ in size, are of a kind that is not understood, or the
                method takes no guide.

        Warns:
            UserWarning: when more than 60 % is missing: the mask is probably inverted; when many of the mask's pixels
                are grey: it is probably no mask; when a Pillow image's file has 16 bits, of which Pillow reads 8.
        """
        opened = open_image(image)
        size = opened.rgb.shape[:2]
        hole, doubts = read_hole(hole_mask, white_is_hole=white_is_hole)
        check_size(hole, size)
        for doubt in doubts:
            # The warning belongs to the line that called the inpainter.
            warnings.warn(doubt, stacklevel=2)
        guide = None if guide is None else self._checked(guide, size)
        if self.method_name in UNSEGMENTED_METHODS and not details and not hole.any():
            return Inpainted(to_eight_bits(opened.rgb), hole, filled=opened.rgb, source=opened)
        unknown = hole if opened.transparent is None else hole | opened.transparent
        level = Level(opened.rgb, unknown, guide)
        halvings = enough_halvings(hole) if texture == "exemplar" else 0
        drawn = fill(self._network, level, hole, self.working_side, self.label_space.num_classes, halvings)
        given = None if guide is None else guide != IGNORE_ID
        if guide is not None and drawn.label is not None and drawn.confidence is not None:
            drawn.label[given], drawn.confidence[given] = guide[given], 1
        image_drawn = drawn.image
        if texture == "exemplar":
            image_drawn = copy_texture(
                to_floats(opened.rgb), hole, unknown, drawn.image, drawn.label, drawn.confidence, given, drawn.features
            )
        filled = join(opened.rgb, image_drawn, hole)
        scales = read_scales(drawn.overview) if details else ()
        return Inpainted(to_eight_bits(filled), hole, drawn.label, drawn.confidence, scales, filled, opened)

    def fill_many(
        self,
        images: Sequence[ImageLike],
        hole_masks: Sequence[Hole],
        *,
        texture: Texture = "network",
        details: bool = False,
        guides: Sequence[Guide | None] | None = None,
        white_is_hole: bool = True,
    ) -> list[Inpainted]:
        """Fill the holes of many images of any sizes; each result is that of calling it with the image alone.

        They go through the network one by one, so that results are equal to the bit.

        Args:
            images, hole_masks: as many of each.
            guides: one an image, None where the network decides alone.
            texture, details, white_is_hole: as for one image.

        Raises:
            DataError: their numbers differ, or as for one image.
        """
        guides = [None] * len(images) if guides is None else guides
        if not len(images) == len(hole_masks) == len(guides):
            raise DataError(
                f"{len(images)} images came with {len(hole_masks)} hole masks and {len(guides)} guides; "
                "give as many of each"
            )
        return [
            self(image, hole_mask, texture=texture, details=details, guide=guide, white_is_hole=white_is_hole)
            for image, hole_mask, guide in zip(images, hole_masks, guides, strict=True)
        ]

    def _checked(self, guide: Guide, size: tuple[int, ...]) -> Guide:
        if not self.can_be_guided:
            raise DataError(
                f"a guide was given, but the method {self.method_name or 'of this model'} is not guided by a "
                "segmentation; leave it out or use a model of sg_net or sge_net"
            )
        return as_guide(guide, size, self.label_space)


def join(known: Pixels, drawn: Floats, hole: npt.NDArray[np.bool_]) -> Pixels:
    """A copy of (H, W, 3) pixels with what was drawn, in [-1, 1], in the hole, rounded to their depth."""
    joined = known.copy()
    half_range = np.float32(127.5 if known.dtype == np.uint8 else 32767.5)
    joined[hole] = np.rint((drawn[hole] + 1) * half_range).clip(0, 2 * half_range).astype(known.dtype)
    return joined


def _shipped_folder() -> Path:
    package = find_spec(_SHIPPED_IN[0])
    places = [] if package is None else list(package.submodule_search_locations or ())
    if not places:
        raise CheckpointError("no model is shipped with this copy of the code; name the folder of one")
    return Path(places[0]) / _SHIPPED_IN[1]


def _next_multiple(side: int) -> int:
    return -(-side // 16) * 16
