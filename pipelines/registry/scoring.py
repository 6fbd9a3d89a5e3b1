"""MLflow's scoring server with a door: what ``mlflow models serve`` answers to malformed requests.

As it comes, the server (3.17) reads a body of any size, parses CSV and Parquet of strangers, answers 500 to
a request without a content type and to JSON that is nested deeply, and puts stack traces and the input into
its error messages. It offers no place for middleware: it imports the model, and then makes its application.
So the model, when it finds itself loaded by that server, replaces the decorator that the server puts around
its one endpoint that reads something. Elsewhere nothing is touched.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from pipelines.inference.server.door import ClientLeft, Message, read_body
from pipelines.inference.server.limits import Limits, limits_from_environment
from pipelines.inference.server.refusal import Refusal, busy, error_body
from pipelines.inference.server.rows import JSON, check_media_type, media_type, parse_json, read_records

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    Endpoint = Callable[[Request], Awaitable[Response]]

_SERVER = "mlflow.pyfunc.scoring_server"
_DECORATOR = "_async_catch_mlflow_exception"
_ANSWER_SHARE = 0.9
"""Of the time after which MLflow itself would answer 504."""

_log = logging.getLogger(__name__)


def guard_scoring_server() -> Limits | None:
    """Put the door in place if this process is a scoring server that is just loading its model.

    Returns:
        The limits that hold; None elsewhere.

    Raises:
        SettingsError: the environment holds limits that cannot be.
    """
    if f"{_SERVER}.app" not in sys.modules:
        return None
    server, limits = sys.modules[_SERVER], limits_from_environment()
    if hasattr(server, _DECORATOR):
        setattr(server, _DECORATOR, functools.partial(guarded, limits=limits))
    else:
        _log.warning("this version of MLflow is unknown: its scoring server answers malformed requests in its own way")
    if "uvicorn.protocols.http.httptools_impl" in sys.modules:
        # uvicorn has chosen its parser before it imports the application.
        _log.warning("the server takes headers of any size; start it with UVICORN_HTTP=h11 to bound them at 64 KiB")
    return limits


def guarded(endpoint: Endpoint, limits: Limits) -> Endpoint:
    """An endpoint that gets whole, well-formed requests, and whose refusals are 4xx with one sentence."""
    from starlette.requests import Request
    from starlette.responses import Response

    under_way = 0
    seconds = longest_answer(limits)

    @functools.wraps(endpoint)
    async def wrapper(request: Request) -> Response:
        nonlocal under_way
        under_way += 1
        try:
            if under_way > limits.under_way:
                raise busy("the server has as many requests as it can take on; try again shortly")
            async with asyncio.timeout(seconds):
                body = await read_body(request.scope["headers"], request.receive, limits)
                body = await asyncio.to_thread(_normalised, body, request.headers.get("content-type", ""), limits)
                return await endpoint(Request(_as_json(request), _giving(body)))
        except TimeoutError:
            refusal = busy(f"the answer was not ready within {seconds:g} s; try again, or with a smaller picture")
            return _answered(refusal)
        except Refusal as refusal:
            return _answered(refusal)
        except ClientLeft:
            # Nobody reads it.
            return Response(status_code=400)
        except Exception as error:
            return _answered_for_model(error)
        finally:
            under_way -= 1

    def _answered(refusal: Refusal) -> Response:
        body = error_body(refusal.status, str(refusal))
        return Response(body, refusal.status, refusal.headers, JSON)

    def _answered_for_model(error: Exception) -> Response:
        # MLflow packs the model's own sentence into one that repeats the input.
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, Refusal):
                return _answered(cause)
            cause = cause.__cause__
        _log.error("the model failed", exc_info=error)
        sentence = "the server failed on this request; its log says more"
        return Response(error_body(500, sentence), 500, media_type=JSON)

    return wrapper


def longest_answer(limits: Limits) -> float:
    """Seconds after which a request is given up: before MLflow does it, with a 504."""
    # `mlflow models serve` sets it for its server, from its option --timeout.
    mlflows = float(os.environ.get("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", "60"))
    return min(limits.answer_seconds, _ANSWER_SHARE * mlflows)


def _normalised(body: bytes, content_type: str, limits: Limits) -> bytes:
    """The rows of a request in the one form that MLflow then parses."""
    check_media_type(media_type(content_type), JSON)
    return json.dumps({"dataframe_records": read_records(parse_json(body), limits)}).encode("ascii")


def _as_json(request: Request) -> dict[str, Any]:
    return {**request.scope, "headers": [(b"content-type", JSON.encode("ascii"))]}


def _giving(body: bytes) -> Callable[[], Awaitable[Message]]:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
