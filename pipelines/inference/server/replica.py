"""A replica of a served model: it fills the images of several requests together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from ray import serve

from pipelines.inference.server.application import serving_application
from pipelines.inference.server.door import Application
from pipelines.inference.server.limits import ServingLimits
from pipelines.inference.server.pairs import PhotoWithHole
from pipelines.parallel.device import precision_problem
from pipelines.parallel.torch_thread import in_torch_thread, submit
from pipelines.tracking.model_source import find_model
from sgenet.errors import UserError
from sgenet.inpainter import Inpainted, Inpainter
from sgenet.settings import Precision

LARGEST_BATCH = 8
"""Images that are filled together; fewer where they are large."""

_WAIT_SECONDS = 0.01
_log = logging.getLogger("ray.serve")


@serve.ingress()
class Replica:
    """Answers requests with one copy of a model.

    Args:
        model: as :func:`pipelines.tracking.model_source.find_model` takes it, on the replica's machine.
        description: what ``GET /model`` answers.
        limits: of a request.
        device: ``cpu`` or ``cuda``.
        precision: of the convolutions.

    Raises:
        UserError: the model cannot be used, or the device would emulate the precision.
    """

    def __init__(
        self, model: str, description: dict[str, Any], limits: ServingLimits, device: str, precision: Precision
    ) -> None:
        if problem := precision_problem(device, precision):
            raise UserError(problem)
        self._inpainter = in_torch_thread(Inpainter.load, find_model(model).folder, device, precision=precision)
        self._description = description
        self._limits = limits

    def __serve_build_asgi_app__(self) -> Application:
        @serve.batch(
            max_batch_size=LARGEST_BATCH,
            batch_wait_timeout_s=_WAIT_SECONDS,
            batch_size_fn=partial(shares, most_pixels=self._limits.pixels),
        )
        async def fill_together(pairs: list[PhotoWithHole]) -> list[Inpainted | Exception]:
            # Not in this thread, so that requests are read and refused meanwhile.
            return await asyncio.wrap_future(submit(self._fill_together, pairs))

        async def fill(pair: PhotoWithHole) -> Inpainted:
            filled = await fill_together(pair)
            if isinstance(filled, Exception):
                raise filled
            return filled

        self._door = serving_application(fill, self._description, self._limits)
        return self._door

    async def drain(self) -> None:
        """Take no more requests, and wait until those under way are answered."""
        await self._door.close()

    def _fill_together(self, pairs: Sequence[PhotoWithHole]) -> list[Inpainted | Exception]:
        try:
            images, holes = [pair.photo.pixels for pair in pairs], [pair.hole for pair in pairs]
            return [*self._inpainter.fill_many(images, holes, texture="exemplar")]
        except Exception as error:
            _log.exception("a batch of %d images failed", len(pairs))
            if len(pairs) == 1:
                return [error]
        # One image that cannot be filled must not take those of other people with it.
        return [result for pair in pairs for result in self._fill_together([pair])]


def shares(pairs: Sequence[PhotoWithHole], most_pixels: int) -> int:
    """How full images make a batch, of :data:`LARGEST_BATCH`: each takes its share of the pixels, but at least one.

    So a batch holds eight small images, or one as large as a request may hold.
    """
    return sum(min(LARGEST_BATCH, max(1, -(-LARGEST_BATCH * pair.cost // most_pixels))) for pair in pairs)
