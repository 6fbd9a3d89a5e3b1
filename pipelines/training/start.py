"""The released model that a training starts from, put into the training's state."""

from __future__ import annotations

from pathlib import Path

from pipelines.training.job import StartingModel, TrainingJob
from sgenet.errors import CheckpointError
from sgenet.methods.release import load_released
from sgenet.training.start import class_axes, start_from
from sgenet.training.state import TrainingState


def take_start(job: TrainingJob, model: StartingModel, state: TrainingState) -> str:
    """Let a state begin with what fits of a model; a sentence says what that is.

    Raises:
        CheckpointError: nothing fits, or the model is damaged.
    """
    released = load_released(Path(model.folder))
    classes = job.label_space.names
    axes = class_axes(job.method, job.recipe, len(classes))
    taken = start_from(state, released.generator.state_dict(), axes, classes, released.label_space.names)
    if not taken.copied:
        raise CheckpointError(
            f"recipes.{job.dataset}.start_from: nothing of {model.name} fits a {job.method} of this recipe; name a "
            "model of the same method, or give network the widths of that model"
        )
    said = (
        f"starting from {model.name}: {len(taken.copied)} of {len(taken.copied) + len(taken.initialised)} tensors taken"
    )
    if (side := released.recipe.network.image_size) != (crop := job.recipe.network.image_size):
        said += f"; it was trained on crops of {side}×{side} pixels, these are of {crop}×{crop}: more steps are needed"
    if taken.initialised:
        said += f"; missing there or of another shape, initialised from scratch: {', '.join(taken.initialised)}"
    if taken.new_classes:
        known = ", ".join(taken.classes) or "none"
        said += f"; classes that it knows by name: {known}; initialised from scratch: {', '.join(taken.new_classes)}"
    return said
