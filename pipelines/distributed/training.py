"""Training on Ray workers: on this machine alone, or on the cluster that ``RAY_ADDRESS`` names.

Ray starts the workers, joins them in a process group and replaces lost ones. What is learnt
lives in the checkpoint store, so a replaced worker, a new cluster and a rerun of the command
all continue alike.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from functools import partial
from typing import cast

import ray
import torch
from ray import ObjectRef
from ray.actor import ActorHandle
from ray.train.torch import get_device

# What `ray.train` gives at run time; to type checkers it still names the classes of version 1.
from ray.train.v2.api.config import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from ray.train.v2.api.train_fn_utils import get_context
from ray.train.v2.torch.torch_trainer import TorchTrainer
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipelines.params import RunSettings
from pipelines.training.display import LoggedStep, TrainingDisplay
from pipelines.training.interruption import stop_requests
from pipelines.training.job import Place, TrainingJob, usable_cpus
from pipelines.training.worker import train
from sgenet.errors import SettingsError, UserError

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    # Workers keep the driver's folder: paths in the settings are relative to it.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_OBJECT_STORE_BYTES = 128 << 20
_SECONDS_BETWEEN_LOOKS = 0.5
_START_ATTEMPTS = 3


def train_on_ray(job: TrainingJob, run: RunSettings, display: TrainingDisplay) -> int:
    """Train on ``run.workers`` Ray workers and show their progress here; see :func:`pipelines.training.worker.train`.

    SIGTERM and Ctrl-C make the workers store their state and stop.

    Returns:
        The step reached.

    Raises:
        UserError: what a worker raised; training is not tried again.
        ray.train.TrainingFailedError: workers were lost more often than ``run.max_failures``.
    """
    with _cluster(run) as cpus_per_worker, stop_requests() as stop:
        mailbox = _open_mailbox()
        trainer = TorchTrainer(
            partial(_work, job, mailbox, cpus_per_worker),
            scaling_config=ScalingConfig(
                num_workers=run.workers,
                use_gpu=run.use_gpu,
                resources_per_worker={"CPU": cpus_per_worker, **({"GPU": 1} if run.use_gpu else {})},
            ),
            run_config=RunConfig(
                name="ray",
                storage_path=job.checkpoints,
                failure_config=FailureConfig(max_failures=run.max_failures),
                logging_config=LoggingConfig(log_level="ERROR"),
            ),
        )
        fitted = _in_background(trainer)
        _relay(fitted, mailbox, display, stop)
        outcome = _outcome_of(mailbox)
        if isinstance(outcome, UserError):
            raise outcome
        fitted.result()
        assert outcome is not None, "rank 0 leaves its step before the training ends"
        return outcome


def _work(job: TrainingJob, mailbox: ActorHandle[_Mailbox], threads: int) -> None:
    """What runs in each worker."""
    if isinstance(_outcome_of(mailbox), UserError):
        # Restarted after an error that would only happen again: end in peace, the driver raises it.
        return
    context = get_context()
    place = Place(context.get_world_rank(), context.get_world_size(), str(get_device()), threads)
    try:
        step = train(job, place, _RemoteSupervisor(mailbox))
    except UserError as error:
        ray.get(mailbox.finish.remote(error))
        raise
    if place.rank == 0:
        ray.get(mailbox.finish.remote(step))


class _Mailbox:
    """Carries messages and the outcome from the workers to the driver, and the wish to stop the other way."""

    def __init__(self) -> None:
        self._messages: list[LoggedStep | str] = []
        self._stop = False
        self._outcome: int | UserError | None = None

    def post(self, message: LoggedStep | str) -> None:
        self._messages.append(message)

    def collect(self) -> list[LoggedStep | str]:
        messages, self._messages = self._messages, []
        return messages

    def request_stop(self) -> None:
        self._stop = True

    def stop_requested(self) -> bool:
        return self._stop

    def finish(self, outcome: int | UserError) -> None:
        self._outcome = outcome

    def outcome(self) -> int | UserError | None:
        return self._outcome


class _RemoteSupervisor:
    """The driver, as a worker sees it."""

    def __init__(self, mailbox: ActorHandle[_Mailbox]) -> None:
        self._mailbox = mailbox
        self._answer: ObjectRef[bool] = mailbox.stop_requested.remote()

    def show(self, logged: LoggedStep) -> None:
        self._mailbox.post.remote(logged)

    def say(self, text: str) -> None:
        self._mailbox.post.remote(text)

    def stop_requested(self) -> bool:
        # The answer to a question asked at an earlier step: no step waits for one.
        answered, _ = ray.wait([self._answer], timeout=0)
        if not answered:
            return False
        requested = bool(ray.get(self._answer))
        self._answer = self._mailbox.stop_requested.remote()
        return requested


def _open_mailbox() -> ActorHandle[_Mailbox]:
    # On the driver's own node: the two are lost together or not at all.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    actor = ray.remote(_Mailbox).options(num_cpus=0, scheduling_strategy=here)
    return cast("ActorHandle[_Mailbox]", actor.remote())


def _outcome_of(mailbox: ActorHandle[_Mailbox]) -> int | UserError | None:
    answer: ObjectRef[int | UserError | None] = mailbox.outcome.remote()
    return ray.get(answer)


def _in_background(trainer: TorchTrainer) -> Future[None]:
    """Run the trainer in a thread, which leaves signals to the main thread."""
    fitted: Future[None] = Future()

    def fit() -> None:
        try:
            trainer.fit()
        except BaseException as error:
            fitted.set_exception(error)
        else:
            fitted.set_result(None)

    threading.Thread(target=fit, name="ray-trainer", daemon=True).start()
    return fitted


def _relay(
    fitted: Future[None], mailbox: ActorHandle[_Mailbox], display: TrainingDisplay, stop: threading.Event
) -> None:
    """Pass messages and the wish to stop between driver and workers until the training has ended."""
    running = True
    while running:
        running = not wait([fitted], timeout=_SECONDS_BETWEEN_LOOKS).done
        if stop.is_set():
            mailbox.request_stop.remote()
        messages: ObjectRef[list[LoggedStep | str]] = mailbox.collect.remote()
        for message in ray.get(messages):
            if isinstance(message, LoggedStep):
                display.show(message)
            else:
                display.say(message)


@contextmanager
def _cluster(run: RunSettings) -> Iterator[int]:
    """Use the cluster this process or ``RAY_ADDRESS`` is connected to, or start one; give the CPUs of a worker.

    Raises:
        SettingsError: this machine has fewer GPUs than workers.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    connected = ray.is_initialized()
    if not connected:
        _connect(run)
    try:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        yield run.cpus_per_worker or max(1, int(resources["CPU"]) // run.workers)
    finally:
        if not connected:
            ray.shutdown()


def _connect(run: RunSettings) -> None:
    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
        return
    num_gpus = torch.cuda.device_count()
    if run.use_gpu and num_gpus < run.workers:
        raise SettingsError(
            [
                f"run.use_gpu asks for {run.workers} GPUs, one a worker, but this machine has {num_gpus}; "
                "lower run.workers or set run.use_gpu to false"
            ]
        )
    start_local_cluster(run.cpus_per_worker * run.workers or max(usable_cpus(), run.workers))


def start_local_cluster(num_cpus: int) -> None:
    """Start a cluster that ends with this process; see :func:`pipelines.distributed.loopback.keep_to_loopback`.

    Raises:
        UserError: Ray does not come up.
    """
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    # Ray makes its workers nicer than everything else on the machine; here they are the work.
    os.environ.setdefault("RAY_worker_niceness", "0")
    for attempt in range(1, _START_ATTEMPTS + 1):
        try:
            ray.init(
                address="local",
                num_cpus=num_cpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=_OBJECT_STORE_BYTES,
            )
            return
        # On a busy machine Ray's parts give up waiting for each other, after times that cannot be set
        # and with an error of no class of its own. The next attempt finds their files in memory.
        except Exception as error:
            ray.shutdown()
            if attempt == _START_ATTEMPTS:
                raise UserError(
                    f"Ray could not be started on this machine ({error}); run the command again when the machine "
                    "is less busy, or set run.workers to 0 to train without Ray"
                ) from error
