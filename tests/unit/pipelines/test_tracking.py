"""Runs that are found again, closed whatever happens, and hold each step once."""

from __future__ import annotations

import getpass
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow_store import make_store
from PIL import Image

from pipelines.tracking import address, heartbeat
from pipelines.tracking.address import TrackingError, artifact_root, open_client, tracking_uri, without_secrets
from pipelines.tracking.logger import RunLogger
from pipelines.tracking.released import ReleasedModels
from pipelines.tracking.runs import DataInput, close_run, flat_parameters, logical_run, open_run
from pipelines.tracking.scores import log_scores

DIGEST = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("mlflow"))


@pytest.fixture
def client(store, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    return MlflowClient(store)


def open_tiny(key: str, **changes) -> str:
    given = {"name": "tiny", "params": {"steps": 200}, **changes}
    return open_run("tests", key, **given)


def test_a_store_that_is_lost_meanwhile_is_said_in_one_sentence(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", make_store(tmp_path))
    run_id = open_tiny("lost")
    for file in tmp_path.glob("mlflow*"):
        file.unlink()
    capfd.readouterr()
    with pytest.raises(TrackingError, match=r"cannot be used \(attempt to write a readonly database\); check that"):
        close_run(run_id, "FINISHED")
    assert capfd.readouterr() == ("", "")


def test_the_same_key_is_the_same_run_and_it_is_running_again(client):
    first = open_tiny("reopen")
    close_run(first, "FAILED")
    again = open_tiny("reopen")
    assert again == first
    assert client.get_run(again).info.status == "RUNNING"
    assert open_tiny("another key") != first


def test_a_run_has_its_tags_from_its_first_moment(client, monkeypatch):
    """A trial that is killed before its parameters are logged is still found below its search."""

    def killed(*arguments, **values):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "log_batch", killed)
        with pytest.raises(KeyboardInterrupt):
            open_tiny("killed at once", tags={"mlflow.parentRunId": "a search"})
    experiment = client.get_experiment_by_name("tests").experiment_id
    (run,) = client.search_runs([experiment], "tags.run_key = 'killed at once'")
    assert run.data.tags["mlflow.parentRunId"] == "a search"


def test_parameters_keep_their_first_value_and_new_ones_are_added(client):
    run_id = open_tiny("params", params={"steps": 200, "rate": 1e-4})
    open_tiny("params", params={"steps": 300, "rate": 1e-4, "workers": 2})
    assert client.get_run(run_id).data.params == {"steps": "200", "rate": "0.0001", "workers": "2"}


def test_more_parameters_than_one_request_takes_are_all_logged(client):
    run_id = open_tiny("many", params={f"p{i}": i for i in range(230)})
    assert len(client.get_run(run_id).data.params) == 230


def test_data_digests_are_inputs_once_and_whole_in_a_tag(client):
    data = DataInput(name="tiny/shards", source="data/tiny/shards", digest=DIGEST)
    run_id = open_tiny("inputs", inputs=[data])
    open_tiny("inputs", inputs=[data])
    run = client.get_run(run_id)
    assert [(item.dataset.name, item.dataset.digest) for item in run.inputs.dataset_inputs] == [
        ("tiny/shards", DIGEST[:36])
    ]
    assert json.loads(run.data.tags["digests"]) == {"tiny/shards": DIGEST}


def test_the_run_is_finished_after_a_training_that_ends(client):
    with logical_run("tests", "ends", name="ends", params={}) as logger:
        assert client.get_run(logger.run_id).info.status == "RUNNING"
    assert client.get_run(logger.run_id).info.status == "FINISHED"


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("bad"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(1), "KILLED")]
)
def test_the_run_is_closed_when_the_training_does_not_end_well(client, error, status):
    with (
        pytest.raises(type(error)),
        logical_run("tests", f"closed {status}", name="closed", params={}) as logger,
    ):
        raise error
    assert client.get_run(logger.run_id).info.status == status


@pytest.fixture
def no_sigterm_handler():
    """As in a fresh process: Ray leaves a handler of its own in one that has used it."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("no_sigterm_handler")
def test_sigterm_closes_the_run_as_killed_and_exits_with_143(client):
    with (
        pytest.raises(SystemExit) as caught,
        logical_run("tests", "sigterm", name="sigterm", params={}) as logger,
    ):
        os.kill(os.getpid(), signal.SIGTERM)
    assert caught.value.code == 143
    assert client.get_run(logger.run_id).info.status == "KILLED"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_resumed_training_logs_each_step_once(client):
    run_id = open_tiny("resume")
    with RunLogger(run_id) as before:
        for step in (10, 20, 30):
            before.metrics({"loss": step / 10, "psnr": 20.0}, step)
    # The last checkpoint was at step 10, so 20 and 30 come again; validation comes for the first time.
    with RunLogger(run_id) as after:
        after.skip_logged_steps()
        for step in (20, 30, 40):
            after.metrics({"loss": step / 10, "ssim": 0.5}, step)
    points = {key: [(m.step, m.value) for m in client.get_metric_history(run_id, key)] for key in ("loss", "ssim")}
    assert points["loss"] == [(10, 1.0), (20, 2.0), (30, 3.0), (40, 4.0)]
    assert [step for step, _ in points["ssim"]] == [20, 30, 40]


def test_a_resumed_training_logs_each_image_once_and_unchanged(client):
    run_id = open_tiny("images")
    image = np.arange(6 * 5 * 3, dtype=np.uint8).reshape(6, 5, 3)
    with RunLogger(run_id) as logger:
        logger.image(image, "samples", 10)
    with RunLogger(run_id) as resumed:
        resumed.skip_logged_steps()
        resumed.image(image, "samples", 10)
        resumed.image(image, "samples", 20)
    full_size = [file.path for file in client.list_artifacts(run_id, "images") if file.path.endswith(".png")]
    assert sorted(path.split("+")[2] for path in full_size) == ["10", "20"]
    stored = Image.open(client.download_artifacts(run_id, full_size[0]))
    np.testing.assert_array_equal(np.asarray(stored), image)


def test_what_a_run_lacks_of_the_history_is_logged_and_nothing_twice(client):
    run_id = open_tiny("incomplete")
    rows = [(step, {"loss": float(step), "speed": 1.0}) for step in (10, 20, 30)]
    with RunLogger(run_id) as logger:
        logger.metrics({"loss": 20.0}, 20)
    for _ in range(2):
        RunLogger(run_id).log_missing(rows)
    for key in ("loss", "speed"):
        assert sorted(metric.step for metric in client.get_metric_history(run_id, key)) == [10, 20, 30]


def test_a_run_says_who_made_it_with_what_and_is_named_so_that_it_is_told_from_others(client):
    run = client.get_run(open_tiny("abcdef123", about="400 steps", description="A **tiny** run."))
    assert re.fullmatch(r"tiny abcdef, 400 steps, tests \d{4}-\d\d-\d\d", run.info.run_name)
    assert run.data.tags["mlflow.user"] == getpass.getuser()
    assert run.data.tags["mlflow.source.name"].startswith("sgenet")
    assert run.data.tags["mlflow.note.content"] == "A **tiny** run."


@pytest.mark.parametrize("asked", ["true", "false"])
def test_metrics_of_the_machine_are_recorded_where_they_are_asked_for(client, monkeypatch, asked):
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", asked)
    with logical_run("tests", f"system {asked}", name="system", params={}):
        recording = "SystemMetricsMonitor" in [thread.name for thread in threading.enumerate()]
    assert recording == (asked == "true")


def driven(client, key: str, when: datetime, machine: str, pid: int) -> str:
    return open_tiny(key, tags={"heartbeat": f"{when.isoformat(timespec='seconds')} {machine} {pid}"})


def test_a_run_whose_driver_is_gone_is_closed_at_its_last_heartbeat(client):
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    now, here = datetime.now(UTC), socket.gethostname()
    gone_here = driven(client, "gone here", now, here, process.pid)
    silent = driven(client, "silent elsewhere", now - timedelta(hours=1), "elsewhere", 1)
    alive = [driven(client, "alive here", now, here, os.getpid()), driven(client, "heard of", now, "elsewhere", 1)]
    not_ours = open_tiny("of somebody else")
    open_tiny("the next command")
    for run_id in (gone_here, silent):
        assert client.get_run(run_id).info.status == "KILLED"
    assert client.get_run(silent).info.end_time == 1000 * int((now - timedelta(hours=1)).timestamp())
    assert {client.get_run(run_id).info.status for run_id in (*alive, not_ours)} == {"RUNNING"}


def test_a_run_that_was_closed_while_its_driver_lives_is_running_again(client, store, monkeypatch):
    monkeypatch.setattr(heartbeat, "_SECONDS", 0.05)
    run_id = driven(client, "its machine slept", datetime.now(UTC) - timedelta(hours=1), "elsewhere", 1)
    with heartbeat.heartbeat(store, run_id):
        open_tiny("the command that closes it")
        deadline = time.monotonic() + 30
        while client.get_run(run_id).info.status != "RUNNING" and time.monotonic() < deadline:
            time.sleep(0.05)
    assert client.get_run(run_id).info.status == "RUNNING"


def test_few_scores_are_metrics_and_all_of_them_a_table(client, tmp_path):
    scores = {"centre": {"psnr": 21.5, "ssim": 0.8, "l1": 0.1}, "irregular": {"psnr": 23.0, "miou_hole": 0.4}}
    run_id = open_tiny("scores")
    log_scores(RunLogger(run_id), scores, 200)
    assert client.get_run(run_id).data.metrics == {"psnr": 21.5, "ssim": 0.8}
    table = client.download_artifacts(run_id, "evaluation/scores.csv", str(tmp_path))
    assert Path(table).read_text().splitlines() == [
        "score,centre,irregular",
        "psnr,21.5,23.0",
        "ssim,0.8,",
        "l1,0.1,",
        "miou_hole,,0.4",
    ]


def test_artifacts_lie_beside_the_store(client, store, tmp_path):
    run_id = open_tiny("artifacts")
    (tmp_path / "losses.csv").write_text("step,loss\n")
    with RunLogger(run_id) as logger:
        logger.artifact(tmp_path / "losses.csv")
    stored = Path(client.get_run(run_id).info.artifact_uri.removeprefix("file://")) / "losses.csv"
    assert stored.read_text() == "step,loss\n"
    assert stored.is_relative_to(artifact_root(store))


@pytest.fixture
def serve():
    """Start a server that does one thing with each connection; gives its host and port."""
    with ExitStack() as servers:

        def start(handle: Callable[[BaseRequestHandler], None]) -> str:
            handler = type("Handler", (BaseRequestHandler,), {"handle": handle})
            server = servers.enter_context(ThreadingTCPServer(("127.0.0.1", 0), handler))
            server.daemon_threads = True
            servers.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            return f"127.0.0.1:{server.server_address[1]}"

        yield start


@pytest.mark.slow
def test_a_server_that_hangs_or_hangs_up_is_the_same_sentence(serve, monkeypatch):
    monkeypatch.setattr(address, "_SECONDS_TO_ANSWER", 0.2)
    hanging = serve(lambda connection: time.sleep(2))
    hanging_up = serve(lambda connection: None)
    for host in (hanging, hanging_up, "127.0.0.1:port"):
        with pytest.raises(TrackingError, match=rf"^no tracking server answers at http://{host} \(") as caught:
            address.check_reachable(f"http://user:secret@{host}")
        assert "secret" not in str(caught.value)


def test_a_server_that_asks_for_a_login_is_told_from_one_that_is_away(serve, monkeypatch):
    def refuse(connection: BaseRequestHandler) -> None:
        connection.request.recv(4096)
        connection.request.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:password@{serve(refuse)}")
    with pytest.raises(TrackingError, match="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to an account"):
        open_run("experiment", "key", name="run", params={})


def test_the_embedded_store_is_the_default(monkeypatch, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    assert tracking_uri() == f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    assert without_secrets(tracking_uri()) == "sqlite:///mlflow/mlflow.db"


def test_secrets_are_taken_out_of_addresses():
    assert without_secrets("postgresql://mlflow:p:w@db:5432/runs") == "postgresql://db:5432/runs"
    assert without_secrets("https://host/path?token=x") == "https://host/path"
    assert without_secrets("http://user:p@ss@host/a@b") == "http://host/a@b"


def test_nested_settings_become_flat_parameters():
    nested = {"network": {"widths": (16, 32), "tau": {"rule": "quantile"}}, "compile": False}
    assert flat_parameters(nested) == {"network.widths": "[16, 32]", "network.tau.rule": "quantile", "compile": False}


@pytest.mark.slow
def test_processes_that_start_at_once_share_a_fresh_store(tmp_path: Path) -> None:
    """Both would create the tables; the one that comes second must wait instead of spoiling them."""
    script = (
        "import sys; from pipelines.tracking.runs import open_run; "
        "print(open_run('experiment', sys.argv[1], name='run', params={}))"
    )
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, key],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for key in ("first", "second")
    ]
    answers = [process.communicate(timeout=120) for process in started]
    assert [process.returncode for process in started] == [0, 0], answers
    assert answers[0][0] != answers[1][0]


def test_a_model_asked_of_an_empty_registry_is_answered_with_how_to_fill_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", make_store(tmp_path))
    with pytest.raises(TrackingError, match=r"nothing is registered yet in .*; `dvc repro register`"):
        ReleasedModels().versions_of("nobody")
    open_client().create_registered_model("somebody")
    with pytest.raises(TrackingError, match=r"no registered model 'nobody' .*\(registered: somebody\)"):
        ReleasedModels().versions_of("nobody")
