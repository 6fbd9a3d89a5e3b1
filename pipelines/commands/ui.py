"""``python -m pipelines ui``: the MLflow UI over the embedded tracking store."""

from __future__ import annotations

import argparse
import os
import sys

from pipelines.commands.common import check_free
from sgenet.errors import UserError

HELP = "Open the MLflow UI over the embedded tracking store."
HOST = "127.0.0.1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``--port``."""
    parser.add_argument("--port", type=int, default=5000)


def execute(options: argparse.Namespace) -> None:
    """Replace this process by the UI, on loopback only.

    Raises:
        UserError: the port is taken, or the tracking store is a server, which has its own UI.
    """
    from pipelines.tracking.address import artifact_root, check_reachable, tracking_uri, without_secrets

    address = tracking_uri()
    if address.startswith(("http://", "https://")):
        raise UserError(f"the tracking store is a server with a UI of its own; open {without_secrets(address)}")
    check_reachable(address, must_exist=True)
    check_free(options.port)
    page = f"http://{HOST}:{options.port}/{_view(address)}"
    print(f"runs of {without_secrets(address)}: {page} (Ctrl-C stops)", flush=True)
    arguments = ["--backend-store-uri", address, "--host", HOST, "--port", str(options.port), "--workers", "1"]
    root = artifact_root(address)
    if root is not None:
        arguments += ["--default-artifact-root", root.as_uri()]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", *arguments])


def _view(address: str) -> str:
    """The runs of the experiment that was changed last, in the view for trainings: the first page is another one."""
    from pipelines.tracking.address import open_client

    experiments = open_client(address).search_experiments(order_by=["last_update_time DESC"])
    of_ours = [experiment.experiment_id for experiment in experiments if experiment.name != "Default"]
    return f"#/experiments/{of_ours[0]}/runs?workflowType=machine_learning" if of_ours else ""
