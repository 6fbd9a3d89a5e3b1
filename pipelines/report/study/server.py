"""The page of a study over HTTP. What reaches the browser says nothing about which method drew what."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import socket
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.inference.server.loopback import guarded_names, warn_if_open
from pipelines.inference.server.refusal import Refusal
from pipelines.report.study.plan import Pair, Plan, first_stands_left, next_pair
from pipelines.report.study.votes import Choice, Vote, VoteBox
from sgenet.errors import UserError

COOKIE = "sgenet_voter"

_STATIC = Path(__file__).parent / "static"
_MOST_BYTES = 1024
"""In the body of a vote, which has about a hundred."""
_MOST_CONNECTIONS = 200
_COOKIE_SECONDS = 90 * 24 * 3600
_ANSWERS = ("left", "right", "tie")
_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class _Question:
    """A pair with one of its methods on the left. Its id stands for both, so that a vote means what was seen."""

    pair: Pair
    on_left: Choice

    @property
    def pictures(self) -> dict[str, str]:
        """Hashes of the pictures by their place on the page."""
        fillings = (self.pair.first_hash, self.pair.second_hash)
        left, right = fillings if self.on_left is Choice.FIRST else reversed(fillings)
        return {"hole": self.pair.corrupted_hash, "left": left, "right": right}

    def choice(self, answer: str) -> Choice:
        """Which method an answer prefers."""
        if answer == "tie":
            return Choice.TIE
        return Choice.FIRST if (answer == "left") == (self.on_left is Choice.FIRST) else Choice.SECOND


def study_application(plan: Plan, votes: VoteBox, *, seed: int, per_person: int, host: str) -> Starlette:
    """The ASGI application of a study.

    ``GET /`` is the page; ``GET /question`` says what to show this browser next, ``POST /votes`` takes an answer and
    says the same; ``GET /pictures/…`` are the pictures.

    Args:
        plan: what to ask.
        votes: where the answers go; must know the plan's pairs.
        seed: of the order and the sides.
        per_person: so many pairs each person is asked at most.
        host: the address it listens on; on loopback it answers to no other name.
    """
    routes = _Routes(plan, votes, seed, per_person)
    return Starlette(
        routes=[
            Route("/", _static("study.html", "text/html")),
            Route("/study.css", _static("study.css", "text/css")),
            Route("/study.js", _static("study.js", "text/javascript")),
            Route("/question", routes.question),
            Route("/votes", routes.vote, methods=["POST"]),
            Route("/pictures/{question}/{place}", routes.picture),
        ],
        middleware=[Middleware(_Sealed), *guarded_names(host)],
        exception_handlers={Refusal: _refuse, HTTPException: _refuse_route, sqlite3.Error: _not_stored},
    )


def serve(application: Starlette, host: str, port: int) -> None:
    """Serve an application until it is interrupted.

    Raises:
        UserError: the port cannot be used.
    """
    import uvicorn

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # Ours, so that whoever reads the address below reaches the server, and a port in use is one sentence.
        listening = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise UserError(f"port {port} of {host} cannot be used ({error}); choose another with --port") from error
    name = f"[{host}]" if ":" in host else host
    print(f"vote at http://{name}:{listening.getsockname()[1]} (Ctrl-C stops)", flush=True)
    warn_if_open(host)
    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        lifespan="off",
    )
    with listening:
        uvicorn.Server(config).run(sockets=[listening])


class _Routes:
    def __init__(self, plan: Plan, votes: VoteBox, seed: int, per_person: int) -> None:
        self._plan, self._votes, self._seed = plan, votes, seed
        self._total = min(per_person, len(plan.pairs))
        self._keys = frozenset(pair.key for pair in plan.pairs)
        asked = [_Question(pair, side) for pair in plan.pairs for side in (Choice.FIRST, Choice.SECOND)]
        self._questions = {self._id(question): question for question in asked}

    def question(self, request: Request) -> Response:
        """What to show next; a browser that is new gets its random number here."""
        number = _number(request)
        if number is not None:
            return JSONResponse(self._next(_voter(number)))
        number = secrets.token_hex(16)
        response = JSONResponse(self._next(_voter(number)))
        response.set_cookie(
            COOKIE,
            number,
            max_age=_COOKIE_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    async def vote(self, request: Request) -> Response:
        """Store an answer, then say what to show next."""
        _check_sender(request)
        number = _number(request)
        if number is None:
            raise Refusal(403, "the browser sent no cookie of this page; allow its cookie and reload the page")
        name, answer = _read_vote(await _body(request))
        question = self._questions.get(name)
        if question is None:
            raise Refusal(404, "this pair is not in the study (any more); reload the page")
        return await run_in_threadpool(self._store, _voter(number), question, answer)

    def picture(self, request: Request) -> Response:
        """One picture of a question."""
        question = self._questions.get(request.path_params["question"])
        name = question and question.pictures.get(request.path_params["place"])
        if not name:
            raise Refusal(404, "there is no such picture in the study (any more); reload the page")
        # An id means the same picture for ever. No date and no tag: they would tell the method.
        return Response(
            self._plan.pictures[name], headers={"Cache-Control": "private, max-age=86400"}, media_type="image/png"
        )

    def _store(self, voter: str, question: _Question, answer: str) -> Response:
        choice = question.choice(answer)
        counted = self._votes.record(Vote(voter, question.pair.key, choice, question.on_left))
        if counted is not choice:
            raise Refusal(409, "you have compared this pair before, and your first answer counts; go on to the next")
        return JSONResponse(self._next(voter), status_code=201)

    def _next(self, voter: str) -> dict[str, Any]:
        answered = self._votes.answered(voter) & self._keys
        pair = None
        if len(answered) < self._total:
            pair = next_pair(self._plan.pairs, self._votes.counts(), answered, voter, self._seed)
        content: dict[str, Any] = {"answered": min(len(answered), self._total), "total": self._total, "question": None}
        if pair is not None:
            side = Choice.FIRST if first_stands_left(pair, voter, self._seed) else Choice.SECOND
            content["question"] = self._id(_Question(pair, side))
        return content

    def _id(self, question: _Question) -> str:
        """Says nothing to whoever does not know the secret, which stays in the file of votes."""
        message = f"{question.pair.key} {question.on_left}".encode()
        return hmac.new(self._votes.secret, message, hashlib.sha256).hexdigest()[:32]


def _number(request: Request) -> str | None:
    """The random number in the browser's cookie."""
    number = request.cookies.get(COOKIE, "")
    return number if re.fullmatch("[0-9a-f]{32}", number) else None


def _voter(number: str) -> str:
    """Who voted, in the file: whoever reads it cannot vote in their place."""
    return hashlib.sha256(number.encode()).hexdigest()[:32]


def _check_sender(request: Request) -> None:
    """A vote comes from a script of this very page: other sites cannot send JSON here, nor hide where they are."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "a vote is sent as application/json")
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise Refusal(403, "a vote can be sent from the page of the study alone; open it and vote there")


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MOST_BYTES:
            # What is still sent is not read: the connection has to end.
            raise Refusal(413, f"a vote has at most {_MOST_BYTES} bytes", {"Connection": "close"})
    return bytes(body)


def _read_vote(body: bytes) -> tuple[str, str]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "a vote is one JSON object, and this is not JSON") from None
    match content:
        case {"question": str(question), "answer": str(answer)} if len(content) == 2 and answer in _ANSWERS:
            return question, answer
    raise Refusal(400, f"a vote has a question and an answer ({', '.join(_ANSWERS)}), and nothing else")


def _static(name: str, media_type: str) -> Any:
    content = (_STATIC / name).read_bytes()

    def give(request: Request) -> Response:
        return Response(content, media_type=media_type)

    return give


def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return _sentence(error.status, str(error), error.headers)


def _refuse_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _sentence(
        error.status_code, f"nothing here answers this ({error.detail}); open the page at /", error.headers
    )


def _not_stored(request: Request, error: Exception) -> Response:
    return _sentence(503, f"the answer could not be stored ({error}); try again, and tell whoever runs the study")


def _sentence(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"message": message}, status, headers)


class _Sealed:
    """Tells browsers to load nothing from elsewhere, and to keep nothing but pictures."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = _POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers)
