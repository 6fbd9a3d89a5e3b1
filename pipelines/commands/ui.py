"""``python -m pipelines ui``: the MLflow UI over the embedded tracking store."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress

from pipelines.commands.common import check_free, port
from sgenet.errors import UserError

HELP = "Open the MLflow UI over the embedded tracking store."
HOST = "127.0.0.1"
_SECONDS_TO_END = 10.0

_VIEW_TAG, _VIEW = "mlflow.sharedViewState", "scores"
SCORES = ("psnr_hole", "ssim", "miou_hole")  # of tracking.scores.HEADLINE; the first one sorts
_NAME = "attributes.`Run Name`"
_SCORE_COLUMNS = [f"metrics.`{name}`" for name in SCORES]
_VIEW_STATE = {
    "orderByKey": _SCORE_COLUMNS[0],
    "orderByAsc": False,
    "selectedColumns": [*_SCORE_COLUMNS, "tags.`champion`"],
    "columnOrder": [_NAME, "runDateAndNestInfo", *_SCORE_COLUMNS, "tags.`champion`"],
    "columnWidths": {_NAME: 330},
}
"""What MLflow's button `Share` keeps in a tag of the experiment: the best run first, its scores beside it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``--port``."""
    parser.add_argument("--port", type=port, default=5000, help="port to listen at (default: 5000)")


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
    """The runs of the experiment that was changed last, best first: MLflow's first page is another one."""
    from pipelines.tracking.address import open_client, store_errors

    client = open_client(address)
    experiments = client.search_experiments(order_by=["last_update_time DESC"])
    of_ours = [experiment for experiment in experiments if experiment.name != "Default"]
    if not of_ours:
        return ""
    newest, tag, state = of_ours[0], f"{_VIEW_TAG}.{_VIEW}", json.dumps(_VIEW_STATE)
    if newest.tags.get(tag) != state:
        with store_errors("the view of the runs cannot be kept"):
            client.set_experiment_tag(newest.experiment_id, tag, state)
    return f"#/experiments/{newest.experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={_VIEW}"
