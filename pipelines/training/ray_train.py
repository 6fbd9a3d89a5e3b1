"""Training on Ray workers: on this machine alone, or on the cluster that ``RAY_ADDRESS`` names.

Ray starts the workers and joins them in a process group. What is learnt lives in the checkpoint
store, so a lost worker, a node that leaves or joins, a new cluster and a rerun of the command are
all the same: an attempt ends, and another one continues from the newest checkpoint with as many
workers as there is room for.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from typing import cast

import ray
import torch.distributed as dist
from ray import ObjectRef
from ray.actor import ActorHandle
from ray.exceptions import RayError
from ray.train.torch import get_device

# What `ray.train` gives at run time; to type checkers it still names the classes of version 1.
from ray.train.v2._internal.exceptions import (
    WorkerGroupStartupTimeoutError,
    WorkerHealthCheckFailedError,
    WorkerHealthCheckTimeoutError,
)
from ray.train.v2._internal.execution.callback import WorkerGroupCallback
from ray.train.v2._internal.execution.worker_group import WorkerGroup
from ray.train.v2.api.config import FailureConfig, LoggingConfig, RunConfig, ScalingConfig
from ray.train.v2.api.exceptions import ControllerError, TrainingFailedError, WorkerGroupError
from ray.train.v2.api.train_fn_utils import get_context
from ray.train.v2.torch.torch_trainer import TorchTrainer

from pipelines.parallel.cluster import Cluster, joined_cluster, leaving_nodes
from pipelines.parallel.parallel import cluster_is_addressed
from pipelines.settings.params import RunSettings
from pipelines.settings.workers import num_workers
from pipelines.training.checkpoints import CheckpointStore
from pipelines.training.display import Display
from pipelines.training.interruption import stop_requests
from pipelines.training.job import Reached, TrainingJob, WorkerPlace
from pipelines.training.mailbox import Mailbox, News, RemoteDriver, open_mailbox, stop_on_sigterm
from pipelines.training.worker import train
from sgenet.errors import UserError

_LOST = (RayError, WorkerHealthCheckFailedError, WorkerHealthCheckTimeoutError)
_WORDS_OF_EXCHANGE = ("gloo", "nccl", "connection", "socket", "broken pipe", "timed out", "timeout", "process group")
_SECONDS_BETWEEN_LOOKS = 0.5
_SECONDS_BETWEEN_COUNTS = 2.0


def train_on_ray(job: TrainingJob, run: RunSettings, display: Display) -> Reached:
    """Train on ``run.workers`` Ray workers and show their progress here; see :func:`pipelines.training.worker.train`.

    SIGTERM and Ctrl-C make the workers store their state and stop.

    Raises:
        UserError: what a worker raised; training is not tried again.
        ray.train.TrainingFailedError: workers were lost more often than ``run.max_failures``, or one raised what no
            second try would mend.
    """
    wanted = _counted(run.max_workers)
    if run.min_workers < run.max_workers:
        wanted = f"{run.min_workers} to {wanted}"
    where = f"the cluster at {os.environ['RAY_ADDRESS']}" if cluster_is_addressed() else "Ray on this machine"
    display.say(f"waiting for {wanted} on {where}")
    with joined_cluster(run) as cluster, stop_requests() as stop:
        cluster.check_gpus()
        failures = 0
        while True:
            workers = _wait_for_room(job, run, cluster, display, stop)
            if workers is None:
                return _stored(job)
            display.say(f"starting {_counted(workers)}")
            attempt = _Attempt(job, run, cluster, workers, display, stop)
            try:
                reached = attempt.run()
            except TrainingFailedError as error:
                if is_fault_of_program(error):
                    raise
                if _never_began(error):
                    display.say("the workers did not start in time; trying again")
                    continue
                failures += 1
                if failures > run.max_failures:
                    raise
                display.say("a worker was lost; resuming from the newest checkpoint")
                continue
            if reached.finished or stop.is_set():
                return reached


def _counted(workers: int) -> str:
    return "1 worker" if workers == 1 else f"{workers} workers"


def _wait_for_room(
    job: TrainingJob, run: RunSettings, cluster: Cluster, display: Display, stop: threading.Event
) -> int | None:
    """The number of workers to resume with, once the cluster has room for them; None when asked to stop before."""
    batch_size = job.recipe.training.batch_size
    before, said = -1, False
    while not stop.is_set():
        room = cluster.room_that_answers()
        workers = num_workers(batch_size, run.min_workers, run.max_workers, room)
        # Twice the same: what ended a moment ago is not all given back yet.
        if workers is not None and (workers == run.max_workers or workers == before):
            if workers < min(room, run.max_workers):
                display.say(f"using {workers} workers: a batch of {batch_size} cannot be split evenly over {room}")
            return workers
        if workers is None and not said:
            display.say(f"waiting for {run.min_workers} workers; the cluster has room for {room}")
            said = True
        before = -1 if workers is None else workers
        stop.wait(_SECONDS_BETWEEN_COUNTS)
    return None


def _stored(job: TrainingJob) -> Reached:
    """The newest checkpoint's step; unfinished where the budget is time, as only a loaded state knows what is spent."""
    training = job.recipe.training
    step = max(CheckpointStore(job.checkpoints, keep=1).steps(), default=0)
    return Reached(step, finished=training.budget == "steps" and step >= training.steps)


def _never_began(error: TrainingFailedError) -> bool:
    """Whether the workers were not started in time: nobody was lost."""
    return isinstance(error, ControllerError) and isinstance(error.controller_failure, WorkerGroupStartupTimeoutError)


def is_fault_of_program(error: TrainingFailedError) -> bool:
    """Whether workers failed with an error that would recur, a bug, and none of them was lost.

    Where one is lost, the others' exchanges with it fail: such errors are no fault of theirs.
    """
    if not isinstance(error, WorkerGroupError) or not error.worker_failures:
        return False
    causes = [getattr(failure, "_base_exc", failure) for failure in error.worker_failures.values()]
    if any(isinstance(cause, _LOST) for cause in causes):
        return False
    return not all(_is_of_exchange(cause) for cause in causes)


def _is_of_exchange(cause: BaseException) -> bool:
    if isinstance(cause, dist.DistError | ConnectionError | TimeoutError):
        return True
    # Gloo has no class of its own for the errors of a lost peer.
    said = str(cause).lower()
    return isinstance(cause, RuntimeError) and any(word in said for word in _WORDS_OF_EXCHANGE)


@dataclass
class _Attempt:
    """Training with a fixed number of workers, until it ends, one is lost, or it pays to resume elsewhere."""

    job: TrainingJob
    settings: RunSettings
    cluster: Cluster
    workers: int
    display: Display
    stop: threading.Event

    def run(self) -> Reached:
        """Train.

        Raises:
            UserError: what a worker raised.
            ray.train.TrainingFailedError: a worker was lost.
        """
        mailbox = open_mailbox()
        # Ray keeps its own list of checkpoints there, which stays empty: ours are not reported to it.
        with tempfile.TemporaryDirectory() as folder:
            fitted = _in_background(self._trainer(mailbox, folder).fit)
            news = self._follow(fitted, mailbox)
        if isinstance(news.outcome, UserError):
            raise news.outcome
        fitted.result()
        assert news.outcome is not None, "rank 0 posts its result before the training ends"
        return news.outcome

    def _trainer(self, mailbox: ActorHandle[Mailbox], folder: str) -> TorchTrainer:
        resources = {"CPU": self.cluster.cpus_per_worker, "GPU": self.cluster.gpus_per_worker}
        return TorchTrainer(
            partial(_work, self.job, mailbox, self.cluster.cpus_per_worker),
            scaling_config=ScalingConfig(
                num_workers=self.workers,
                use_gpu=self.settings.use_gpu,
                resources_per_worker={name: count for name, count in resources.items() if count},
            ),
            run_config=RunConfig(
                name="ray",
                storage_path=folder,
                failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),
                callbacks=[_NoticeOfTermination()],  # type: ignore[list-item]
                logging_config=LoggingConfig(log_level="ERROR"),
            ),
        )

    def _follow(self, fitted: Future[None], mailbox: ActorHandle[Mailbox]) -> News:
        """Pass on messages and the wish to stop until the attempt has ended."""
        reason: str | None = None
        begun = 0
        grow_at = time.monotonic() + self.settings.seconds_before_growing
        while True:
            # Asked before the mailbox is emptied, so that the last messages are not missed.
            ended = bool(wait([fitted], timeout=_SECONDS_BETWEEN_LOOKS).done)
            collected: ObjectRef[News] = mailbox.collect.remote()
            news = ray.get(collected)
            if news.begun > begun:
                begun = news.begun
                self.display.say(f"{begun} of {self.workers} workers have started")
            for message in news.messages:
                if isinstance(message, str):
                    self.display.say(message)
                else:
                    self.display.show(message)
            if ended:
                return news
            if self.stop.is_set():
                mailbox.request_stop.remote()
            elif reason is None:
                may_grow = time.monotonic() > grow_at
                reason = self._reason_to_move(news.nodes, may_grow)
                if may_grow:
                    grow_at = time.monotonic() + self.settings.seconds_before_growing
                if reason is not None:
                    self.display.say(f"{reason}; storing a checkpoint to resume from")
                    mailbox.request_stop.remote()

    def _reason_to_move(self, nodes: frozenset[str], may_grow: bool) -> str | None:
        """Why it pays to store a checkpoint and resume with other workers now, if it does."""
        if leaving_nodes() & nodes:
            return "a node of this training is being drained"
        run = self.settings
        if not may_grow or run.max_workers == self.workers or not nodes:
            return None

        def possible(room: int) -> int:
            return num_workers(self.job.recipe.training.batch_size, run.min_workers, run.max_workers, room) or 0

        if possible(self.cluster.room(self.workers)) > self.workers:
            return f"there is room for more than {self.workers} workers"
        return None


class _NoticeOfTermination(WorkerGroupCallback):
    """Lets every worker take a SIGTERM as a notice."""

    def after_worker_group_start(self, worker_group: WorkerGroup) -> None:
        """Install the handler in the main thread of each worker."""
        for worker in worker_group.get_workers():
            ray.get(cast("ObjectRef[None]", worker.execute_async(stop_on_sigterm)))


def _work(job: TrainingJob, mailbox: ActorHandle[Mailbox], threads: int) -> None:
    """What runs in each worker."""
    context = get_context()
    place = WorkerPlace(context.get_world_rank(), context.get_world_size(), str(get_device()), threads)
    ray.get(mailbox.begin.remote(ray.get_runtime_context().get_node_id()))
    try:
        driver = RemoteDriver(mailbox, asks=place.rank == 0)
        reached = train(job, place, driver, driver.stop_requested)
    except UserError as error:
        ray.get(mailbox.finish.remote(error))
        raise
    if place.rank == 0:
        ray.get(mailbox.finish.remote(reached))


def _in_background(function: Callable[[], object]) -> Future[None]:
    """Call a function in a thread, which leaves signals to the main thread."""
    done: Future[None] = Future()

    def call() -> None:
        try:
            function()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=call, name="ray-trainer", daemon=True).start()
    return done
