"""``python -m pipelines serve``: a model behind HTTP, in batches and replicas, with Ray Serve."""

from __future__ import annotations

import argparse
import os
import socket
from typing import TYPE_CHECKING

from sgenet.errors import UserError

if TYPE_CHECKING:
    from pipelines.model_source import ModelSource

HELP = "Serve a model over HTTP with Ray Serve."
EPILOG = """\
On this machine the server runs until Ctrl-C or SIGTERM. Where RAY_ADDRESS names a cluster, the application is
deployed there and stays. docs/serving.md has the requests to send, and the limits that SGENET_SERVING sets."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, and how it is served."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", help="champion, candidate, NAME@ALIAS, models:/…, runs:/ID, a folder, s3://…")
    parser.add_argument("--replicas", type=_count, default=1, help="copies of the model (default: 1)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this machine alone)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen at (default: 8000)")
    parser.add_argument("--cpus-per-replica", type=_count, help="cores of a replica (default: an even share)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="cuda takes one GPU a replica")


def execute(options: argparse.Namespace) -> None:
    """Serve until stopped, or deploy to the cluster.

    Raises:
        UserError: the model, the port or the cluster cannot be used.
    """
    from pipelines.distributed.loopback import keep_to_loopback
    from pipelines.model_source import find_model
    from pipelines.serving.limits import limits_from_environment
    from sgenet.methods.release import load_released

    limits = limits_from_environment()
    source = find_model(options.model)
    released = load_released(source.folder)
    on_cluster = bool(os.environ.get("RAY_ADDRESS"))
    if not on_cluster:
        _check_free(options.host, options.port)
    keep_to_loopback()
    # Ray is imported only now: it reads what was just set.
    from pipelines.distributed.serving import Service, deploy_to_cluster, serve_until_stopped

    service = Service(
        model=_for_other_machines(source, options.model) if on_cluster else str(source.folder.resolve()),
        description={
            "name": source.name,
            "version": source.version,
            "method": released.method_name,
            "classes": list(released.label_space.names),
        },
        limits=limits,
        host=options.host,
        port=options.port,
        replicas=options.replicas,
        cpus=options.cpus_per_replica or 0,
        device=options.device,
    )
    if on_cluster:
        deploy_to_cluster(service)
        print(f"{source.name} is deployed; `serve status` shows it, `serve shutdown` ends it")
    else:
        serve_until_stopped(service)


def _for_other_machines(source: ModelSource, spec: str | None) -> str:
    """What names the very same model on every machine of a cluster, now and when a replica is replaced."""
    if source.origin == "registry":
        name = source.name.removeprefix("models:/").partition("@")[0].partition("/")[0]
        return f"models:/{name}/{source.version}"
    return (
        spec if spec and "://" in spec else source.name if source.origin != "folder" else str(source.folder.resolve())
    )


def _check_free(host: str, port: int) -> None:
    with socket.socket() as probe:
        # As servers do, so that a port just given back counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:
            raise UserError(
                f"{host}:{port} cannot be listened at ({error}); choose another --port or --host"
            ) from error


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number
