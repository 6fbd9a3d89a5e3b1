"""The HTTP interface of a served model: routes, forms and JSON; what fills the images is handed in."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from pipelines.inference.images import encode_filled
from pipelines.inference.server.docs import docs_page
from pipelines.inference.server.door import Door
from pipelines.inference.server.limits import ServingLimits
from pipelines.inference.server.metrics import Metrics
from pipelines.inference.server.pairs import PhotoWithHole, answer, decode_row, decode_rows
from pipelines.inference.server.refusal import Refusal, busy, error_body
from pipelines.inference.server.rows import (
    COLUMNS,
    FORM,
    JSON,
    RequestRow,
    check_media_type,
    parse_json,
    read_records,
    read_row,
)
from sgenet.inpainter import Inpainted

Fill = Callable[[PhotoWithHole], Awaitable[Inpainted]]

WARNING = "X-Warning"
"""The header of an answered PNG that says what looks wrong with what was sent: a text of JSON, beyond ASCII escaped."""

_PATHS = frozenset({"/inpaint", "/invocations", "/model", "/healthz", "/docs", "/metrics"})
_PNG = "image/png"


def serving_application(fill: Fill, description: Mapping[str, Any], limits: ServingLimits) -> Door:
    """The ASGI application of one model, with its :class:`~pipelines.inference.server.door.Door`.

    ``POST /inpaint`` takes one image and its hole mask, as JSON or as a form; ``POST /invocations`` takes rows
    as MLflow's scoring server does; ``GET /model`` says what is served, ``GET /healthz`` that it is, ``GET /docs`` how
    to ask for it, ``GET /metrics`` what was answered.

    Args:
        fill: fills one image. It is called at once for all images of a request, and may batch them.
        description: what ``GET /model`` answers beside the limits.
    """
    metrics = Metrics(_PATHS)
    door = _Routes(fill, dict(description), limits, metrics)
    application = Starlette(
        routes=[
            Route("/healthz", door.healthz),
            Route("/model", door.model),
            Route("/docs", door.docs),
            Route("/metrics", door.metrics),
            Route("/inpaint", door.inpaint, methods=["POST"]),
            Route("/invocations", door.invocations, methods=["POST"]),
        ],
        exception_handlers={Refusal: _refuse, HTTPException: _refuse_route, Exception: _confess},
    )
    # A redirection would repeat what the request calls its host.
    application.router.redirect_slashes = False
    return Door(metrics.around(application), limits)


class _Routes:
    def __init__(self, fill: Fill, description: dict[str, Any], limits: ServingLimits, metrics: Metrics) -> None:
        self._fill_one = fill
        self._description = description | {"limits": dataclasses.asdict(limits)}
        self._limits, self._metrics = limits, metrics

    async def docs(self, request: Request) -> Response:
        return HTMLResponse(docs_page(self._description, str(request.base_url).rstrip("/")))

    async def metrics(self, request: Request) -> Response:
        return self._metrics.response()

    async def healthz(self, request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def model(self, request: Request) -> Response:
        return JSONResponse(self._description)

    async def inpaint(self, request: Request) -> Response:
        sent = check_media_type(request.headers.get("content-type", ""), JSON, FORM)
        if sent == FORM:
            row = await _read_form(request)
            pair = await run_in_threadpool(decode_row, row, self._limits)
        else:
            body = await request.body()
            pair = await run_in_threadpool(lambda: decode_row(read_row(parse_json(body)), self._limits))
        (inpainted,) = await self._fill([pair])
        accepted = request.headers.get("accept", "")
        if _PNG in accepted or (sent == FORM and JSON not in accepted):
            headers = {WARNING: json.dumps("; ".join(pair.warnings))} if pair.warnings else {}
            return Response(await run_in_threadpool(encode_filled, pair.photo, inpainted), 200, headers, _PNG)
        return JSONResponse(await run_in_threadpool(answer, pair, inpainted))

    async def invocations(self, request: Request) -> Response:
        check_media_type(request.headers.get("content-type", ""), JSON)
        pairs = await run_in_threadpool(self._decode, await request.body())
        filled = await self._fill(pairs)
        answers = await run_in_threadpool(lambda: [*map(answer, pairs, filled)])
        return JSONResponse({"predictions": answers})

    def _decode(self, body: bytes) -> list[PhotoWithHole]:
        records = read_records(parse_json(body), self._limits)
        return decode_rows(records, self._limits)

    async def _fill(self, pairs: list[PhotoWithHole]) -> list[Inpainted]:
        """All images of a request, within the time limit."""
        try:
            async with asyncio.timeout(self._limits.answer_seconds):
                filled = await asyncio.gather(*map(self._fill_one, pairs))
        except TimeoutError:
            raise busy(
                f"the answer was not ready within {self._limits.answer_seconds:g} s; "
                "try again when there is less to do, or with a smaller image"
            ) from None
        for pair in pairs:
            self._metrics.count_image(pair.hole.size)
        return filled


async def _read_form(request: Request) -> RequestRow:
    """The two files of a form."""
    async with request.form(max_files=len(COLUMNS), max_fields=0) as form:
        unknown = [key for key in form if key not in COLUMNS]
        missing = [key for key in COLUMNS if not isinstance(form.get(key), UploadFile)]
        if unknown or missing or len(form.multi_items()) != len(COLUMNS):
            raise Refusal(400, f"a form must hold exactly the files {' and '.join(COLUMNS)}")
        files = [value for key in COLUMNS if isinstance(value := form[key], UploadFile)]
        image, hole_mask = [await file.read() for file in files]
        return RequestRow(image, hole_mask)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return Response(error_body(error.status, str(error)), error.status, error.headers, JSON)


async def _refuse_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    match error.status_code:
        case 404:
            sentence = "there is nothing at this path; GET /docs says what there is"
        case 405:
            sentence = f"this path does not take {request.method[:20]}; see the header Allow for what it takes"
        case _:
            sentence = f"the request cannot be read ({error.detail}); send the files image and hole_mask"
    return Response(error_body(error.status_code, sentence), error.status_code, error.headers, JSON)


async def _confess(request: Request, error: Exception) -> Response:
    """An internal error. Starlette raises the error again afterwards, so that the server logs it."""
    sentence = f"the server failed on this request ({type(error).__name__}); its log says more"
    return Response(error_body(500, sentence), 500, media_type=JSON)
