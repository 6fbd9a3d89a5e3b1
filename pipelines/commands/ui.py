"""``python -m pipelines ui``: the MLflow UI over the embedded tracking store."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from contextlib import suppress

from pipelines.commands.common import check_free
from sgenet.errors import UserError

HELP = "Open the MLflow UI over the embedded tracking store."
HOST = "127.0.0.1"
_SECONDS_TO_END = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``--port``."""
    parser.add_argument("--port", type=int, default=5000)


def execute(options: argparse.Namespace) -> int:
    """Run the UI, on loopback only, until Ctrl-C or SIGTERM; its exit status where it ends by itself.

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
    return _serve([sys.executable, "-m", "mlflow", "server", *arguments])


def _serve(command: list[str]) -> int:
    # In a session of its own: MLflow's processes would each print a traceback at Ctrl-C.
    server = subprocess.Popen(command, start_new_session=True)
    for wish in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(wish, signal.default_int_handler)
    try:
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        for end in (signal.SIGTERM, signal.SIGKILL):
            # The whole session is ended: MLflow's workers outlive it for a moment.
            with suppress(ProcessLookupError):
                os.killpg(server.pid, end)
            with suppress(subprocess.TimeoutExpired):
                server.wait(_SECONDS_TO_END)


def _view(address: str) -> str:
    """The runs of the experiment that was changed last, in the view for trainings: the first page is another one."""
    from pipelines.tracking.address import open_client

    experiments = open_client(address).search_experiments(order_by=["last_update_time DESC"])
    of_ours = [experiment.experiment_id for experiment in experiments if experiment.name != "Default"]
    return f"#/experiments/{of_ours[0]}/runs?workflowType=machine_learning" if of_ours else ""
