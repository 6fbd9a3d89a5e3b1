"""What each kind of fault costs a training on a cluster: `python benchmarks/cluster_soak.py [--steps N]`.

A cluster of two nodes with one core each, an S3 server and ``mlflow server`` over PostgreSQL with its artifacts on
S3, all processes of this machine on its loopback device. The same training of a small SGE-Net runs once undisturbed,
then once for each fault. Each must end with the undisturbed run's weights, losses and scores, to the bit, and with
the same metrics in the tracking server; the table says how much longer it took and how many steps were done twice.

Needs PostgreSQL's ``initdb`` and ``postgres`` (Debian: ``postgresql``; ``--postgres`` says where) and its driver for
Python, the extra ``server`` of this package. Ends with status 1
where a training learned something else.
"""

from __future__ import annotations

import argparse
import os
import platform
import pwd
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "integration")]

from mixed_scenes import processor  # noqa: E402
from mlflow_server import TrackingServer  # noqa: E402
from servers import free_port, loopback_s3  # noqa: E402
from tiny import DATASET, make_dataset  # noqa: E402
from training_process import Training, make_workspace, result_of, start_training  # noqa: E402
from two_nodes import TwoNodes, training_workers, two_nodes  # noqa: E402

BUCKET = "soak"
SERVER_AWAY_SECONDS = 60


def main() -> int:
    """Run the faults, print a table, and say whether all trainings learned the same."""
    options = _options()
    with tempfile.TemporaryDirectory(dir="/tmp") as name, loopback_s3(BUCKET) as store:
        folder = Path(name)
        make_dataset(folder / "dataset")
        with postgres(folder / "postgres", options.postgres) as database:
            server = TrackingServer(folder, database=database, artifacts=f"s3://{BUCKET}/artifacts")
            server.start()
            environment = store | {"MLFLOW_TRACKING_URI": server.address}
            try:
                with two_nodes(environment) as cluster:
                    return soak(Soak(folder, cluster, server, options.steps), options.faults)
            finally:
                server.kill()


@dataclass
class Soak:
    """What the faults are done to."""

    folder: Path
    cluster: TwoNodes
    server: TrackingServer
    steps: int

    @property
    def fault_step(self) -> int:
        """After the second checkpoint, half-way to the third: a fault costs half an interval."""
        return int(2.5 * self.checkpoint_every)

    @property
    def checkpoint_every(self) -> int:
        return self.steps // 5

    def workspace(self, name: str) -> Path:
        # A validation also stores a checkpoint: at a step that has one anyway.
        training = {
            "steps": self.steps,
            "checkpoint_every": self.checkpoint_every,
            "validate_every": 2 * self.checkpoint_every,
        }
        run = {"workers": 2, "max_failures": 2}
        # A storage of its own each, so that none resumes another's state.
        return make_workspace(self.folder / name, self.folder / "dataset", f"s3://{BUCKET}/{name}", run, **training)

    def start(self, workspace: Path) -> Training:
        return start_training(workspace, self.cluster.environment)

    def disturbed(self, workspace: Path) -> Training:
        """A training that has just come to the step at which it is disturbed."""
        training = self.start(workspace)
        training.wait_for(f"step {self.fault_step}/")
        return training


def _worker(soak: Soak, workspace: Path) -> list[Training]:
    training = soak.disturbed(workspace)
    training_workers(soak.cluster)[-1].kill()
    return [training]


def _raylet(soak: Soak, workspace: Path) -> list[Training]:
    training = soak.disturbed(workspace)
    assert soak.cluster.other is not None
    soak.cluster.other.kill_raylet()
    # As a node group that replaces a lost machine.
    soak.cluster.other.kill()
    soak.cluster.start_other()
    return [training]


def _driver(soak: Soak, workspace: Path) -> list[Training]:
    training = soak.disturbed(workspace)
    training.kill()
    return [training, soak.start(workspace)]


def _everything(soak: Soak, workspace: Path) -> list[Training]:
    training = soak.disturbed(workspace)
    training.kill()
    soak.cluster.kill_all()
    soak.cluster.start()
    return [training, soak.start(workspace)]


def _server_away(soak: Soak, workspace: Path) -> list[Training]:
    training = soak.disturbed(workspace)
    soak.server.kill()
    time.sleep(SERVER_AWAY_SECONDS)
    soak.server.start()
    return [training]


Fault = Callable[[Soak, Path], list[Training]]
FAULTS: dict[str, tuple[str, Fault]] = {
    "worker": ("SIGKILL of a worker", _worker),
    "raylet": ("SIGKILL of a raylet, the node replaced", _raylet),
    "driver": ("SIGKILL of the driver, the command given again", _driver),
    "everything": ("SIGKILL of driver and both nodes, all started again", _everything),
    "server": (f"MLflow server gone for {SERVER_AWAY_SECONDS} s", _server_away),
}


def soak(soak: Soak, faults: list[str]) -> int:
    """Run the faults and print the table."""
    # Once uncounted: the first start of a cluster imports what later ones find in memory.
    soak.start(soak.workspace("warm-up")).finish()
    workspace, started = soak.workspace("undisturbed"), time.perf_counter()
    soak.start(workspace).finish()
    usual, expected = time.perf_counter() - started, result_of(workspace)
    recorded = _recorded(soak, "undisturbed")
    print(
        f"Two nodes of one core each, S3 on loopback, mlflow server over PostgreSQL; {processor()}, "
        f"{len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}\n"
        f"{soak.steps} steps, a checkpoint every {soak.checkpoint_every}, faults at step {soak.fault_step}; "
        f"undisturbed {usual:.0f} s from the command to its end\n\n"
        "| fault | time lost | steps done twice | weights, losses, scores | metrics in the server |\n"
        "| --- | --: | --: | --- | --- |",
        flush=True,
    )
    same = True
    for name in faults:
        title, disturb = FAULTS[name]
        workspace, started = soak.workspace(name), time.perf_counter()
        trainings = disturb(soak, workspace)
        trainings[-1].finish(1200)
        lost = time.perf_counter() - started - usual
        equal = result_of(workspace) == expected
        tracked = _recorded(soak, name) == recorded
        same = same and equal and tracked
        print(
            f"| {title} | {lost:.0f} s | {_repeated(soak, trainings)} | {'equal' if equal else 'DIFFERENT'} | "
            f"{'equal' if tracked else 'DIFFERENT'} |",
            flush=True,
        )
    return 0 if same else 1


def _repeated(soak: Soak, trainings: list[Training]) -> int:
    """Steps that had been shown before a training resumed from a checkpoint of fewer."""
    shown = repeated = 0
    for line in "".join(training.output for training in trainings).splitlines():
        if step := re.search(rf"step (\d+)/{soak.steps}", line):
            shown = int(step[1])
        elif resumed := re.search(r"continuing after step (\d+)", line):
            repeated += max(shown - int(resumed[1]), 0)
    return repeated


def _recorded(soak: Soak, name: str) -> dict[str, list[tuple[int, float]]]:
    """The losses and scores of a run in the server, in its order; its run must be the only one of that storage."""
    from mlflow import MlflowClient

    client = MlflowClient(soak.server.address)
    experiment = client.get_experiment_by_name(DATASET)
    assert experiment is not None
    runs = [
        run for run in client.search_runs([experiment.experiment_id]) if f"/{name}/" in run.data.tags["checkpoints"]
    ]
    assert [run.info.status for run in runs] == ["FINISHED"], name
    keys = [key for key in runs[0].data.metrics if key.startswith(("loss/", "val/"))]
    return {
        key: [(point.step, point.value) for point in client.get_metric_history(runs[0].info.run_id, key)]
        for key in sorted(keys)
    }


@contextmanager
def postgres(folder: Path, programs: Path) -> Iterator[str]:
    """A database with a password of its own on the loopback device, and its address."""
    folder.mkdir()
    password, port = secrets.token_urlsafe(12), free_port()
    secret = folder / "password"
    secret.write_text(password)
    # PostgreSQL refuses to be run by root.
    user = "postgres" if os.getuid() == 0 else None
    if user is not None:
        owner = pwd.getpwnam(user)
        for path in (folder, secret):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        folder.parent.chmod(0o755)
    data = folder / "data"
    initdb = [programs / "initdb", "-D", data, "-U", "mlflow", "--auth=scram-sha-256", f"--pwfile={secret}"]
    subprocess.run(initdb, check=True, user=user, stdout=subprocess.DEVNULL, cwd="/")
    command = [programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", folder]
    with (folder.parent / "postgres.log").open("wb") as log:
        process = subprocess.Popen(command, user=user, stdout=log, stderr=log, cwd="/")
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        # The database of every PostgreSQL; this one is thrown away.
        yield f"postgresql+psycopg2://mlflow:{password}@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS))
    parser.add_argument("--postgres", type=Path, default=_newest_postgres(), help="folder of initdb and postgres")
    options = parser.parse_args()
    if options.postgres is None or not (options.postgres / "initdb").exists():
        raise SystemExit("no initdb found: install PostgreSQL (Debian: postgresql), or give its folder with --postgres")
    return options


def _newest_postgres() -> Path | None:
    """Where Debian puts it, which is not on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return found[-1] if found else None


if __name__ == "__main__":
    sys.exit(main())
