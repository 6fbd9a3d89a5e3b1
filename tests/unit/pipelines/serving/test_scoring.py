"""The door of MLflow's scoring server, before an endpoint like MLflow's."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType, SimpleNamespace

import pytest
from sent import row
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from pipelines.inference.server.limits import Limits
from pipelines.inference.server.refusal import Refusal
from pipelines.registry import scoring

SERVER, DECORATOR = "mlflow.pyfunc.scoring_server", "_async_catch_mlflow_exception"


async def echo(request: Request) -> Response:
    return JSONResponse({"type": request.headers["content-type"], "body": await request.json()})


def client(endpoint=echo, **limits) -> TestClient:
    door = scoring.guarded(endpoint, Limits(**limits))
    application = Starlette(routes=[Route("/invocations", door, methods=["POST"])])
    return TestClient(application, raise_server_exceptions=False)


@pytest.mark.parametrize("envelope", ["inputs", "instances", "dataframe_records"])
def test_mlflow_gets_one_form_of_rows_whatever_was_sent(envelope):
    headers = {"Content-Type": "application/json; charset=utf-8"}
    answered = client().post("/invocations", json={envelope: [row()]}, headers=headers)
    assert answered.json() == {"type": "application/json", "body": {"dataframe_records": [row()]}}


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"content": b"{}"}, 415),
        ({"content": b"a,b", "headers": {"Content-Type": "text/csv"}}, 415),
        ({"json": {"inputs": []}}, 400),
        ({"json": {"inputs": [row()] * 3}}, 413),
        ({"content": b" " * 5000, "headers": {"Content-Type": "application/json"}}, 413),
    ],
)
def test_what_mlflow_should_not_see_it_does_not_see(sent, status):
    async def unreached(request: Request) -> Response:
        pytest.fail("was reached")

    answered = client(unreached, rows=2, body_bytes=4999).post("/invocations", **sent)
    assert answered.status_code == status
    assert answered.json()["message"]


def test_a_refusal_of_the_model_is_freed_from_what_mlflow_packs_around_it():
    async def refuse(request: Request) -> Response:
        try:
            raise ValueError("a page of the input") from Refusal(413, "row 0: the image has too many pixels")
        except ValueError as error:
            raise RuntimeError("Failed to predict data") from error

    answered = client(refuse).post("/invocations", json={"inputs": [row()]})
    assert answered.status_code == 413
    assert answered.json()["message"] == "row 0: the image has too many pixels"


def test_a_failure_of_ours_is_not_called_the_clients():
    async def fail(request: Request) -> Response:
        raise RuntimeError("secret details")

    answered = client(fail).post("/invocations", json={"inputs": [row()]})
    assert answered.status_code == 500
    assert "secret" not in answered.text


def test_a_slow_answer_is_given_up_before_mlflow_would_answer_504():
    async def never(request: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    answered = client(never, answer_seconds=0.05).post("/invocations", json={"inputs": [row()]})
    assert (answered.status_code, answered.headers["retry-after"].isdigit()) == (429, True)


def test_the_time_of_mlflow_is_the_longest(monkeypatch):
    monkeypatch.setenv("MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT", "1")
    assert scoring.longest_answer(Limits(answer_seconds=100)) < 1
    assert scoring.longest_answer(Limits(answer_seconds=0.2)) == 0.2


def test_outside_the_scoring_server_nothing_is_touched(monkeypatch):
    server = SimpleNamespace(**{DECORATOR: "theirs"})
    monkeypatch.setitem(sys.modules, SERVER, server)
    monkeypatch.delitem(sys.modules, f"{SERVER}.app", raising=False)
    assert scoring.guard_scoring_server() is None
    assert getattr(server, DECORATOR) == "theirs"


def test_in_the_scoring_server_the_limits_of_the_environment_hold(monkeypatch):
    server = ModuleType(SERVER)
    setattr(server, DECORATOR, "theirs")
    monkeypatch.setitem(sys.modules, SERVER, server)
    monkeypatch.setitem(sys.modules, f"{SERVER}.app", ModuleType(f"{SERVER}.app"))
    monkeypatch.setenv("SGENET_SERVING", '{"rows": 5}')
    assert scoring.guard_scoring_server() == Limits(rows=5)
    assert getattr(server, DECORATOR).keywords == {"limits": Limits(rows=5)}


@pytest.mark.slow
def test_the_installed_mlflow_has_the_place_for_the_door():
    import mlflow.pyfunc.scoring_server as server

    assert callable(getattr(server, DECORATOR))
