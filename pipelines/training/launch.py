"""Starting a training where the settings say, in this process or on Ray workers; and what it left when it ended."""

from __future__ import annotations

from pipelines.parallel.cpus import usable_cpus
from pipelines.parallel.device import device_of
from pipelines.parallel.loopback import keep_to_loopback
from pipelines.parallel.parallel import cluster_is_addressed
from pipelines.settings.params import RunSettings
from pipelines.training.checkpoints import CheckpointStore
from pipelines.training.display import Display, TrainingDisplay
from pipelines.training.history import History
from pipelines.training.interruption import TrainingInterrupted, stop_requests
from pipelines.training.job import Reached, TrainingJob, WorkerPlace
from pipelines.training.published_weights import without_weights
from pipelines.training.worker import build_state, train
from sgenet.errors import CheckpointError
from sgenet.training.state import TrainingState


def launch(job: TrainingJob, run: RunSettings) -> None:
    """Train to the end of the recipe's budget.

    Raises:
        SettingsError: there is no GPU.
        TrainingInterrupted: asked to stop by SIGTERM or Ctrl-C; the state is stored.
        UserError: see :func:`pipelines.training.worker.train`.
    """
    training = job.recipe.training
    num_steps = training.steps if training.budget == "steps" else None
    with TrainingDisplay(f"{job.dataset}/{job.method}", num_steps) as display:
        if trains_here(run):
            reached = train_here(job, run, display)
        else:
            keep_to_loopback()
            # Ray takes seconds to import, is not needed above, and must not be imported earlier.
            from pipelines.training.ray_train import train_on_ray

            reached = train_on_ray(job, run, display)
        if not reached.finished:
            display.say(f"stopped after step {reached.step}, its checkpoint is saved; run the same command to resume")
            raise TrainingInterrupted


def trains_here(run: RunSettings) -> bool:
    """Whether a training needs no cluster: none is addressed, and one worker is enough. It starts in seconds then."""
    return run.max_workers == 0 or (run.max_workers == 1 and not cluster_is_addressed())


def train_here(job: TrainingJob, run: RunSettings, display: Display) -> Reached:
    """Train in this process.

    Raises:
        SettingsError: there is no GPU.
        UserError: see :func:`pipelines.training.worker.train`.
    """
    device = "cuda:0" if device_of(run) == "cuda" else "cpu"
    place = WorkerPlace(device=device, threads=run.cpus_per_worker or usable_cpus())
    with stop_requests() as stop:
        return train(job, place, display, stop.is_set)


def finished_state(job: TrainingJob) -> tuple[TrainingState, History]:
    """The state after the last step, and the history up to it.

    Raises:
        CheckpointError: the last checkpoint is damaged or missing.
    """
    store = CheckpointStore(job.checkpoints, job.recipe.training.keep_checkpoints)
    state = build_state(without_weights(job))
    problems: list[str] = []
    step = store.load_newest(state, problems.append)
    if not state.finished:
        raise CheckpointError(
            f"the last checkpoint in {job.checkpoints} cannot be used ({'; '.join(problems) or 'it is missing'}); "
            "rerun the command to train its steps again"
        )
    return state, store.load_history(step)
