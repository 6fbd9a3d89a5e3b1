"""A model behind Ray Serve: replicas that fill images in batches, on this machine or on a cluster."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

import ray
from ray import serve
from ray.serve.config import BackpressureConfig, HTTPOptions
from ray.serve.handle import DeploymentHandle

from pipelines.inference.server.limits import ServingLimits
from pipelines.inference.server.refusal import RETRY_AFTER_SECONDS
from pipelines.inference.server.replica import Replica
from pipelines.parallel.cluster import start_local_cluster
from pipelines.parallel.connect import connect_to_cluster
from pipelines.parallel.cpus import usable_cpus
from pipelines.training.interruption import stop_requests
from sgenet.errors import UserError
from sgenet.settings import Precision

APPLICATION = "sgenet"
"""What the application is called in a cluster."""

_BESIDE = 16
"""Requests that a replica takes beside those under way: health checks, and those that it tells to come back."""

_SLACK_SECONDS = 15.0
_LEAVE_SECONDS = 5.0
"""Within which replicas that have answered everything are gone; what is left ends with Ray."""
_SECONDS_BETWEEN_LOOKS = 0.5
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",
}


@dataclass(frozen=True, kw_only=True)
class Service:
    """What is served, and where.

    Attributes:
        model: as :func:`pipelines.tracking.model_source.find_model` takes it, on every machine that has a replica.
        description: what ``GET /model`` answers.
        limits: of a request.
        host, port: where HTTP is listened for.
        replicas: copies of the model.
        cpus: cores of a replica; 0 shares this machine's among them.
        device: ``cpu``; ``cuda``, which replicas share evenly where they are more than the GPUs; or ``auto``, which is
            ``cuda`` where there is one.
        precision: of the convolutions.
    """

    model: str
    description: Mapping[str, Any]
    limits: ServingLimits
    host: str
    port: int
    replicas: int
    cpus: int = 0
    device: str = "cpu"
    precision: Precision = "float32"


def serve_until_stopped(service: Service) -> None:
    """Serve on this machine until SIGTERM or Ctrl-C; what is under way then is still answered.

    Raises:
        UserError: Ray does not come up, or the model cannot be loaded.
    """
    # Read by Ray's processes when they start.
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    start_local_cluster(max(usable_cpus(), service.replicas * max(1, service.cpus)))
    try:
        with _ended_by_sigterm():
            replicas = _deploy(service, service.cpus or max(1, usable_cpus() // service.replicas))
        with stop_requests() as stop:
            print(f"serving at http://{service.host}:{service.port} (Ctrl-C stops)", flush=True)
            stop.wait()
            print("finishing what is under way", flush=True)
            _finish(replicas, service.limits)
    finally:
        ray.shutdown()


def deploy_to_cluster(service: Service) -> None:
    """Deploy to the cluster that ``RAY_ADDRESS`` names, where the application stays.

    Raises:
        UserError: no cluster answers, or the model cannot be loaded there.
    """
    connect_to_cluster()
    try:
        _deploy(service, service.cpus or 1)
    finally:
        ray.shutdown()


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """While there is nothing to finish yet, SIGTERM ends the command as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _deploy(service: Service, cpus: int) -> DeploymentHandle[Any]:
    limits, num_gpus = service.limits, gpus_of_a_replica(service, _gpus_of_cluster())
    device = "cuda" if num_gpus else "cpu"
    serve.start(
        http_options=HTTPOptions(
            host=service.host, port=service.port, request_timeout_s=limits.answer_seconds + _SLACK_SECONDS
        )
    )
    as_deployment = serve.deployment(
        name="replica",
        num_replicas=service.replicas,
        ray_actor_options={"num_cpus": cpus, "num_gpus": num_gpus},
        max_ongoing_requests=limits.under_way + _BESIDE,
        max_queued_requests=limits.under_way,
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=RETRY_AFTER_SECONDS),
        graceful_shutdown_timeout_s=limits.answer_seconds,
        graceful_shutdown_wait_loop_s=_SECONDS_BETWEEN_LOOKS,
        max_constructor_retry_count=2,
    )
    application = as_deployment(Replica).bind(
        service.model, dict(service.description), limits, device, service.precision
    )
    try:
        return serve.run(application, name=APPLICATION, route_prefix="/")
    except RuntimeError as error:
        raise UserError(f"the model {service.model} does not come up ({error}); see the log of Ray Serve") from error


def gpus_of_a_replica(service: Service, found: int) -> float:
    """What each replica asks for, so that none is spread over two GPUs.

    Args:
        found: GPUs there are now; a cluster that has none yet may grow.
    """
    if service.device == "cpu" or (service.device == "auto" and not found):
        return 0
    return 1 / -(-service.replicas // (found or service.replicas))


def _gpus_of_cluster() -> int:
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return int(resources.get("GPU", 0))


def _finish(replicas: DeploymentHandle[Any], limits: ServingLimits) -> None:
    """Wait until the replicas have answered what they were asked; what comes now is told that the server stops."""
    with suppress(TimeoutError):
        replicas.broadcast("drain").results(timeout_s=limits.answer_seconds)
    # The last answers are on their way through the proxy until the replicas are gone.
    deadline = time.monotonic() + _LEAVE_SECONDS
    serve.delete(APPLICATION, _blocking=False)
    while APPLICATION in serve.status().applications and time.monotonic() < deadline:
        time.sleep(_SECONDS_BETWEEN_LOOKS)
