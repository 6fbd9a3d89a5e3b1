"""Servers that are started for a measurement on loopback and stopped after it: the two of a model, and S3."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from hostile.request import Target

Kind = Literal["ray", "mlflow"]
START_SECONDS = 400
STOP_SECONDS = 60


@contextmanager
def running(
    kind: Kind, model: Path, limits: Mapping[str, Any], replicas: int = 1
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Start a server of a model, give its port and process once it answers, and stop it with SIGTERM.

    Args:
        kind: ``ray`` is ``python -m pipelines serve``; ``mlflow`` registers the model in a store of its own
            and runs ``mlflow models serve`` on it.
        limits: what differs from the defaults of :class:`pipelines.inference.server.limits.Limits`.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "SGENET_SERVING": json.dumps(dict(limits))}
        environment.pop("RAY_ADDRESS", None)
        if kind == "ray":
            command = [sys.executable, "-m", "pipelines", "serve", "--model", str(model)]
            command += ["--replicas", str(replicas), "--port", str(port)]
            health = "/healthz"
        else:
            environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
            # What an earlier use of MLflow in this process left.
            environment.pop("MLFLOW_REGISTRY_URI", None)
            environment["UVICORN_HTTP"] = "h11"
            environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
            _register(model, environment)
            command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", "models:/served@candidate"]
            command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
            health = "/ping"
        log = Path(folder, "server.log")
        with log.open("wb") as output:
            server = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
            try:
                _wait_until_up(server, f"http://127.0.0.1:{port}{health}", log)
                yield port, server
            finally:
                _stop(server)


def targets(kind: Kind, most_body: int) -> list[Target]:
    """The paths of a server that take images."""
    rows = Target("/invocations", lambda row: {"inputs": [row]}, most_body=most_body)
    if kind == "mlflow":
        return [rows, Target("/invocations", lambda row: {"dataframe_records": [row]}, most_body=most_body)]
    return [Target("/inpaint", dict, forms=True, most_body=most_body), rows]


@contextmanager
def loopback_s3(bucket: str) -> Iterator[dict[str, str]]:
    """An S3 server with a bucket; the environment that finds it, which is this process's too."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    os.environ.update(environment)
    boto3.client("s3").create_bucket(Bucket=bucket)
    try:
        yield environment
    finally:
        server.stop()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tiny_model(folder: Path) -> Path:
    """An SGE-Net of a few thousand random weights: its answers are worthless, and as well-formed as any."""
    from sgenet.label_space import OUTDOOR_SCENES
    from sgenet.methods.build import build_generator
    from sgenet.methods.recipe import Recipe
    from sgenet.methods.release import save_released
    from sgenet.settings import NetworkSettings

    recipe = Recipe(network=NetworkSettings(widths=(4,) * 5, context_blocks=1, modulation_width=4, image_size=32))
    save_released(
        folder, "sge_net", build_generator("sge_net", recipe, OUTDOOR_SCENES.num_classes), recipe, OUTDOOR_SCENES
    )
    return folder


def _register(model: Path, environment: Mapping[str, str]) -> None:
    code = (
        "import sys; from pathlib import Path; from pipelines.registry.register import register;"
        "from pipelines.tracking.runs import close_run, open_run;"
        "run = open_run('serving', 'serving', name='served', params={}); close_run(run, 'FINISHED');"
        "register(Path(sys.argv[1]), 'served', run, step=0, tags={}, side=32)"
    )
    subprocess.run([sys.executable, "-c", code, str(model)], env=dict(environment), check=True, capture_output=True)


def _wait_until_up(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.5)
    raise RuntimeError(f"the server did not come up:\n{log.read_text(errors='replace')[-3000:]}")


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End a server and what it started."""
    server.terminate()
    try:
        server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
