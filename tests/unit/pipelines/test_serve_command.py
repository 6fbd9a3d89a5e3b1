"""``python -m pipelines serve`` before there is a server: what is served, and what cannot be."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pipelines.__main__ import main
from pipelines.commands import serve
from pipelines.tracking.model_source import ModelSource


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
    assert f"port {port} cannot be used" in capsys.readouterr().err


def test_no_replicas_are_no_server(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["serve", "--replicas", "0"])
    assert "--replicas" in capsys.readouterr().err
