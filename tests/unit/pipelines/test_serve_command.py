"""``python -m pipelines serve`` before there is a server: what is served, and what cannot be."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from free_port import free_port

from pipelines.__main__ import main
from pipelines.commands import serve
from pipelines.inference.server import on_ray, replica
from pipelines.inference.server.limits import ServingLimits
from pipelines.tracking.model_source import ModelSource
from sgenet.errors import UserError


@pytest.mark.parametrize(
    ("source", "address"),
    [
        (ModelSource("sge-net-x@champion", Path("cache/a"), "registry", "7"), "models:/sge-net-x/7"),
        (ModelSource("models:/sge-net-x/3", Path("cache/b"), "registry", "3"), "models:/sge-net-x/3"),
        (ModelSource("runs:/abc", Path("cache/c"), "run"), "runs:/abc"),
        (ModelSource("s3://bucket/model", Path("cache/d"), "folder"), "s3://bucket/model"),
        (ModelSource("model", Path("model"), "folder"), str(Path("model").resolve())),
        (ModelSource("shipped", Path("pipelines/registry/shipped"), "shipped"), "shipped"),
    ],
)
def test_replicas_of_a_cluster_find_the_very_version_that_was_meant(source, address):
    assert serve.address_on_cluster(source) == address


def test_a_model_that_is_none_is_refused_before_ray_is_started(tmp_path, capsys):
    assert main(["serve", "--model", str(tmp_path)]) == 2
    assert "model.json does not exist" in capsys.readouterr().err


def test_a_wrong_limit_is_refused_before_ray_is_started(monkeypatch, capsys):
    monkeypatch.setenv("SGENET_SERVING", '{"pixel": 5}')
    assert main(["serve"]) == 2
    assert "SGENET_SERVING: pixel" in capsys.readouterr().err


def test_a_port_in_use_is_refused_before_ray_is_started(monkeypatch, capsys):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["serve", "--model", "shipped", "--port", str(port)]) == 2
    assert f"port {port} of 127.0.0.1 cannot be used" in capsys.readouterr().err


def test_no_replicas_are_no_server(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["serve", "--replicas", "0"])
    assert "--replicas" in capsys.readouterr().err


def _service(**changes) -> on_ray.Service:
    return on_ray.Service(
        **{
            "model": "shipped",
            "description": {},
            "limits": ServingLimits(),
            "host": "",
            "port": 0,
            "replicas": 1,
            **changes,
        }
    )


@pytest.mark.parametrize(
    ("device", "replicas", "found", "share"),
    [
        ("cuda", 1, 1, 1),
        ("cuda", 2, 8, 1),
        ("cuda", 4, 1, 1 / 4),
        # Two on one and one on the other: two thirds each would leave room for two.
        ("cuda", 3, 2, 1 / 2),
        # A cluster that grows by demand.
        ("cuda", 4, 0, 1),
        ("auto", 4, 2, 1 / 2),
        ("auto", 4, 0, 0),
        ("cpu", 4, 8, 0),
    ],
)
def test_replicas_share_the_gpus_and_none_is_spread_over_two(device, replicas, found, share):
    assert on_ray.gpus_of_a_replica(_service(device=device, replicas=replicas), found) == share


def test_a_gpu_that_is_not_there_is_refused_before_ray_is_started(monkeypatch, capsys):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("pipelines.parallel.device.gpu_problem", lambda: "PyTorch finds no GPU; install a driver")
    assert main(["serve", "--model", "shipped", "--device", "cuda", "--port", str(free_port())]) == 2
    assert "--device cuda asks for a GPU, but PyTorch finds no GPU" in capsys.readouterr().err


def test_the_precision_that_is_asked_for_is_the_one_that_is_served(monkeypatch, capsys):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    served = []
    monkeypatch.setattr(on_ray, "serve_until_stopped", served.append)
    for precision in ("float32", "bfloat16"):
        assert main(["serve", "--model", "shipped", "--port", str(free_port()), "--precision", precision]) == 0
    assert [service.precision for service in served] == ["float32", "bfloat16"]
    assert capsys.readouterr().out == 2 * "starting 1 replica of shipped\n"
    monkeypatch.setattr("pipelines.parallel.device.has_bfloat16", lambda device: True)
    weights = [_loaded(precision).generator.parameters() for precision in ("float32", "bfloat16")]
    assert [any(weight.dtype == torch.bfloat16 for weight in each) for each in weights] == [False, True]
    monkeypatch.setattr("pipelines.parallel.device.has_bfloat16", lambda device: False)
    with pytest.raises(UserError, match="would be emulated on cpu"):
        _loaded("bfloat16")


def _loaded(precision: str):
    """What a replica fills with; Ray Serve's wrapper around its class needs a server."""
    made = SimpleNamespace()
    replica.Replica.__mro__[1].__init__(made, "shipped", {}, ServingLimits(), "cpu", precision)
    return made._inpainter
