"""One MLflow run per logical training: found again and resumed after a restart, closed whatever happens."""

from __future__ import annotations

import getpass
import json
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import FrameType
from typing import Any, Literal, Required, TypedDict, Unpack

from mlflow import MlflowClient
from mlflow.data.dataset_source_registry import resolve_dataset_source
from mlflow.data.meta_dataset import MetaDataset
from mlflow.data.sources import LocalArtifactDatasetSource  # type: ignore[attr-defined]
from mlflow.entities import DatasetInput, InputTag, Param, Run, RunTag
from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
from mlflow.exceptions import MlflowException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from pipelines.tracking.address import (
    TrackingError,
    artifact_root,
    check_reachable,
    one_at_a_time,
    open_client,
    store_errors,
    tracking_uri,
    without_secrets,
)
from pipelines.tracking.commit import current_commit
from pipelines.tracking.heartbeat import close_abandoned_runs, heartbeat, heartbeat_tag
from pipelines.tracking.logger import RunLogger

RUN_KEY_TAG = "run_key"
DIGESTS_TAG = "digests"
ELSEWHERE_TAG = "trained_elsewhere"

Status = Literal["FINISHED", "FAILED", "KILLED"]
Scalar = str | int | float | bool | None

_PARAMETERS_PER_REQUEST = 100
_DIGEST_LENGTH = 36  # what an MLflow store keeps of a dataset's digest; the whole one is in a tag
_KEY_IN_NAME = 6


@dataclass(frozen=True, kw_only=True)
class DataInput:
    """Data that a run was made from.

    Attributes:
        name: what it is, such as ``outdoor_mix/shards``.
        source: a path or ``s3://`` address.
        digest: the data's own hash, as its manifest says it.
    """

    name: str
    source: str
    digest: str


class Described(TypedDict, total=False):
    """What a run says of itself.

    Attributes:
        name: beginning of its name in the UI, followed by that of the key, since MLflow's lists cut names off, then by
            ``about``, the experiment and the date.
        about: what else tells the run from others, such as how long it is.
        params: see :func:`flat_parameters`; each is logged once, what the run holds already stays as it is.
        tags: more tags.
        inputs: the data's hashes.
        description: Markdown, shown with the run.
    """

    name: Required[str]
    about: str
    params: Required[Mapping[str, Scalar]]
    tags: Mapping[str, str]
    inputs: Sequence[DataInput]
    description: str


@contextmanager
def logical_run(experiment: str, run_key: str, **described: Unpack[Described]) -> Iterator[RunLogger]:
    """Open (or resume) the run of a training, and close it on every way out.

    An exception closes it as FAILED; Ctrl-C, ``sys.exit`` and SIGTERM close it as KILLED. SIGTERM
    raises ``SystemExit(143)`` in the main thread, unless a handler is installed already. A run whose driver
    was killed is closed by the next command that opens a run of the experiment.

    Args:
        experiment: name of the MLflow experiment, made where missing.
        run_key: hash of settings, data and code; the same key is the same run.
        described: see :class:`Described`.

    Yields:
        A logger; workers make their own from its ``run_id`` and ``address``.

    Raises:
        TrackingError: the store cannot be used.
    """
    described["tags"] = {**described.get("tags", {}), **heartbeat_tag()}
    run_id = open_run(experiment, run_key, **described)
    logger = RunLogger(run_id)
    status: Status = "FAILED"
    try:
        with _sigterm_as_exit(), heartbeat(logger.address, run_id), _system_metrics(logger):
            yield logger
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        raise
    finally:
        logger.close()
        try:
            close_run(run_id, status)
        except TrackingError as error:
            if status == "FINISHED":
                raise
            # The error that ended the training is the one to report.
            print(f"warning: {error}", file=sys.stderr, flush=True)


def open_run(experiment: str, run_key: str, **described: Unpack[Described]) -> str:
    """Find the run with this key and set it to RUNNING, or create it; see :func:`logical_run`.

    Returns:
        The run's id.

    Raises:
        TrackingError: when the store cannot be used.
    """
    address, name, inputs = tracking_uri(), described["name"], described.get("inputs", ())
    check_reachable(address, to_write=True)
    with store_errors(f"the run of {name} cannot be opened"):
        client = open_client(address)
        with one_at_a_time():
            experiment_id = _experiment_id(client, experiment, address)
            close_abandoned_runs(client, experiment_id)
            run = _find_run(client, experiment_id, run_key)
            # A run is made with its tags in one transaction, so that no kill leaves one without its parent's tag.
            all_tags = {**_origin_tags(inputs, described.get("description", "")), **described.get("tags", {})}
            if run is None:
                about = described.get("about")
                parts = (f"{name} {run_key[:_KEY_IN_NAME]}", about, f"{experiment} {datetime.now(UTC):%Y-%m-%d}")
                full_name = ", ".join(filter(None, parts))
                run = client.create_run(experiment_id, run_name=full_name, tags={**all_tags, RUN_KEY_TAG: run_key})
            else:
                client.update_run(run.info.run_id, status="RUNNING")
        run_id = str(run.info.run_id)
        _describe(client, run_id, described["params"], all_tags, inputs)
    return run_id


def restored_run(training: Mapping[str, Any], method: str, dataset: str) -> str:
    """The run of a model that came with its files: the run itself, or a stand-in where this store never saw it.

    DVC's cache and remotes copy a trained model to machines whose tracking store has no trace of its
    training. The stand-in has the same run key, so that training it here would continue it, and the tag
    ``trained_elsewhere`` with the original's id.

    Args:
        training: content of the model's ``training.json``.
        dataset: names the experiment.

    Returns:
        The id of a run that exists.
    """
    run_id = training["run_id"]
    with store_errors(f"the run {run_id} cannot be found"):
        try:
            return str(open_client().get_run(run_id).info.run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
    start = f" from {training['start_from']['name']}" if training.get("start_from") else ""
    stand_in = open_run(
        dataset,
        training["run_key"],
        name=method,
        about=f"{training['steps']} steps{start}",
        params={},
        tags={ELSEWHERE_TAG: run_id},
    )
    close_run(stand_in, "FINISHED")
    return stand_in


def close_run(run_id: str, status: Status) -> None:
    """Set the run's status and end time; the same run can be opened again later."""
    with store_errors(f"the run {run_id} cannot be closed"):
        open_client().set_terminated(run_id, status)


def flat_parameters(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Scalar]:
    """Flatten nested settings for MLflow: ``{"network": {"widths": [1, 2]}}`` → ``{"network.widths": "[1, 2]"}``."""
    flat: dict[str, Scalar] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat.update(flat_parameters(value, f"{prefix}{key}."))
        elif value is None or isinstance(value, (str, int, float, bool)):
            flat[f"{prefix}{key}"] = value
        else:
            flat[f"{prefix}{key}"] = str(list(value) if isinstance(value, tuple) else value)
    return flat


def _experiment_id(client: MlflowClient, name: str, address: str) -> str:
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        root = artifact_root(address)
        try:
            return client.create_experiment(name, (root / name).as_uri() if root else None)
        except MlflowException as error:
            # Another process may have made it in between.
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            experiment = client.get_experiment_by_name(name)
    if experiment is None or experiment.lifecycle_stage == "deleted":
        raise TrackingError(
            f"the experiment '{name}' in {without_secrets(address)} is deleted; "
            "bring it back with `mlflow experiments restore`, or purge it with `mlflow gc`"
        )
    return experiment.experiment_id


def _find_run(client: MlflowClient, experiment_id: str, run_key: str) -> Run | None:
    found = client.search_runs(
        [experiment_id], f"tags.`{RUN_KEY_TAG}` = '{run_key}'", max_results=1, order_by=["attributes.start_time ASC"]
    )
    return found[0] if found else None


def _describe(
    client: MlflowClient,
    run_id: str,
    params: Mapping[str, Scalar],
    tags: Mapping[str, str],
    inputs: Sequence[DataInput],
) -> None:
    """Log what the run does not hold yet: after a restart that is nothing, or what a lost driver left undone."""
    run = client.get_run(run_id)
    missing = [Param(key, str(value)) for key, value in params.items() if key not in run.data.params]
    for start in range(0, len(missing), _PARAMETERS_PER_REQUEST):
        client.log_batch(run_id, params=missing[start : start + _PARAMETERS_PER_REQUEST], synchronous=True)
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()], synchronous=True)
    held = {item.dataset.name for item in run.inputs.dataset_inputs} if run.inputs else set()
    new = [_dataset_input(item) for item in inputs if item.name not in held]
    if new:
        client.log_inputs(run_id, new)


def _dataset_input(item: DataInput) -> DatasetInput:
    remote = "://" in item.source
    source = resolve_dataset_source(item.source) if remote else LocalArtifactDatasetSource(item.source)
    data = MetaDataset(source, name=item.name, digest=item.digest[:_DIGEST_LENGTH])  # type: ignore[abstract]
    return DatasetInput(data._to_mlflow_entity(), [InputTag("mlflow.data.context", "training")])


def _origin_tags(inputs: Sequence[DataInput], description: str) -> dict[str, str]:
    """Who made the run with which command, code and data, under the names that the UI shows them by."""
    tags = {
        "mlflow.user": user_name(),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.name": shlex.join(["sgenet", *sys.argv[1:]]),
    }
    if description:
        tags["mlflow.note.content"] = description
    if commit := current_commit():
        tags["mlflow.source.git.commit"] = commit
    if inputs:
        tags[DIGESTS_TAG] = json.dumps({item.name: item.digest for item in inputs})
    return tags


def user_name() -> str:
    """Who runs this command."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


@contextmanager
def _system_metrics(logger: RunLogger) -> Iterator[None]:
    """Record processor, memory, disk, network and GPUs until the block ends, where MLflow's own setting asks for it."""
    if not MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING.get():  # type: ignore[no-untyped-call]
        yield
        return
    monitor = SystemMetricsMonitor(logger.run_id, resume_logging=True, tracking_uri=logger.address)  # type: ignore[no-untyped-call]
    monitor.start()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        monitor.finish()  # type: ignore[no-untyped-call]


@contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
