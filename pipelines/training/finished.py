"""What a finished training left in its store."""

from __future__ import annotations

from pipelines.training.checkpoints import CheckpointStore
from pipelines.training.history import History
from pipelines.training.job import TrainingJob
from pipelines.training.published_weights import without_weights
from pipelines.training.worker import build_state
from sgenet.errors import CheckpointError
from sgenet.training.state import TrainingState


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
            "run the same command again to repeat the steps it held"
        )
    return state, store.load_history(step)
