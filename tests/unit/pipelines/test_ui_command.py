"""``ui``: MLflow's own pages, on this machine alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import psutil
import pytest
from free_port import free_port
from mlflow import MlflowClient
from mlflow_store import make_store
from processes import below, command

from pipelines.commands import ui
from pipelines.tracking.scores import HEADLINE
from sgenet.errors import UserError


@pytest.mark.slow
def test_the_ui_starts_mlflow_on_loopback_and_its_address_is_that_of_the_runs(monkeypatch, tmp_path, capsys):
    started: list[list[str]] = []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr(ui, "_serve", started.append)
    monkeypatch.setattr(ui, "check_free", lambda port: None)
    with pytest.raises(UserError, match="does not exist; a training creates it"):
        ui.execute(Namespace(port=5001))
    number = MlflowClient(make_store(tmp_path)).create_experiment("outdoor_mix")
    ui.execute(Namespace(port=5001))
    page = f"http://127.0.0.1:5001/#/experiments/{number}/runs?workflowType=machine_learning&viewStateShareKey=scores "
    assert page in capsys.readouterr().out
    view = json.loads(MlflowClient().get_experiment(number).tags["mlflow.sharedViewState.scores"])
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`psnr_hole`", False)
    assert {f"metrics.`{name}`" for name in ui.SCORES} < set(view["selectedColumns"])
    assert set(ui.SCORES) < set(HEADLINE)
    options = dict(zip(started[0][4::2], started[0][5::2], strict=True))
    assert started[0][1:4] == ["-m", "mlflow", "server"]
    assert options["--host"] == "127.0.0.1"
    assert options["--port"] == "5001"
    assert options["--backend-store-uri"] == f"sqlite:///{tmp_path}/mlflow.db"


def test_the_ui_says_when_its_port_is_taken_or_a_server_has_its_own(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    (tmp_path / "mlflow.db").touch()
    with socket.socket() as taken:
        taken.bind((ui.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} of 127.0.0.1 cannot be used"):
            ui.execute(Namespace(port=port))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@mlflow.example")
    with pytest.raises(UserError, match=r"open https://mlflow\.example$"):
        ui.execute(Namespace(port=5000))


@pytest.mark.slow
@pytest.mark.parametrize("wish", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_without_a_traceback_and_leaves_no_process(tmp_path, wish):
    address = make_store(tmp_path)
    MlflowClient(address).create_experiment("outdoor_mix")
    port = free_port()
    said = tmp_path / "said"
    with said.open("w") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", "pipelines", "ui", "--port", str(port)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "MLFLOW_TRACKING_URI": address},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + 120
        while "Uvicorn running" not in said.read_text() and time.monotonic() < deadline:
            time.sleep(0.2)
        servers = below(started.pid)
        assert not any("mlflow.server.jobs" in command(server) for server in servers)
        started.send_signal(wish)
        assert started.wait(60) == 0
    finally:
        started.kill()
    assert servers
    assert psutil.wait_procs(servers, timeout=30)[1] == []
    assert "Traceback" not in said.read_text()
    assert "Abort" not in said.read_text()
