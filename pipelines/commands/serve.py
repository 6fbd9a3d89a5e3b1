"""``python -m pipelines serve``: a model behind HTTP, in batches and replicas, with Ray Serve."""

from __future__ import annotations

import argparse
import os

from pipelines.commands.common import add_precision, check_free, port, positive
from pipelines.tracking.model_source import SPECS, ModelSource, find_model
from sgenet.errors import UserError

HELP = "Serve a model over HTTP with Ray Serve."
EPILOG = """\
On this machine the server runs until Ctrl-C or SIGTERM. Where RAY_ADDRESS names a cluster, the application is
deployed there and stays. docs/serving.md has the requests to send, and the limits that SGENET_SERVING sets."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, and how it is served."""
    parser.epilog = EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--model", help=f"{SPECS} (default: the champion, else shipped)")
    parser.add_argument("--replicas", type=positive, default=1, help="copies of the model (default: 1)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: this machine alone)")
    parser.add_argument("--port", type=port, default=8000, help="port to listen at (default: 8000)")
    parser.add_argument("--cpus-per-replica", type=positive, help="cores of a replica (default: an even share)")
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="cpu",
        help="cuda: replicas share the GPUs evenly; auto: where this machine or the cluster has one (default: cpu)",
    )
    add_precision(parser)


def execute(options: argparse.Namespace) -> None:
    """Serve until stopped, or deploy to the cluster.

    Raises:
        UserError: the model, the port or the cluster cannot be used.
    """
    from pipelines.inference.server.limits import limits_from_environment
    from pipelines.parallel.loopback import keep_to_loopback
    from sgenet.methods.release import load_released

    limits = limits_from_environment()
    source = find_model(options.model)
    released = load_released(source.folder)
    on_cluster = bool(os.environ.get("RAY_ADDRESS"))
    if not on_cluster:
        check_free(options.port, options.host)
        if options.device == "cuda":
            _check_gpu()
    keep_to_loopback()
    # Ray is imported only now: it reads what was just set.
    from pipelines.inference.server.on_ray import Service, deploy_to_cluster, serve_until_stopped

    service = Service(
        model=address_on_cluster(source) if on_cluster else str(source.folder.resolve()),
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
        precision=options.precision,
    )
    copies = "1 replica" if options.replicas == 1 else f"{options.replicas} replicas"
    print(f"starting {copies} of {source.name}", flush=True)
    if on_cluster:
        deploy_to_cluster(service)
        print(f"{source.name} is deployed; `serve status` shows it, `serve shutdown` ends it")
    else:
        serve_until_stopped(service)


def _check_gpu() -> None:
    """Refuse a GPU that is not there: Ray would wait for it."""
    from pipelines.parallel.device import gpu_problem

    problem = gpu_problem()
    if problem is not None:
        raise UserError(f"--device cuda asks for a GPU, but {problem}, or choose --device auto or cpu")


def address_on_cluster(source: ModelSource) -> str:
    """What names the very same model on every machine of a cluster, now and when a replica is replaced."""
    if source.origin == "registry":
        name = source.name.removeprefix("models:/").partition("@")[0].partition("/")[0]
        return f"models:/{name}/{source.version}"
    if source.origin == "folder" and "://" not in source.name:
        return str(source.folder.resolve())
    return source.name
