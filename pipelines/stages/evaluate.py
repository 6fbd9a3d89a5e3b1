"""Stage ``evaluate``: score a trained method on the fixed evaluation masks."""

from __future__ import annotations

from pathlib import Path

import torch

from pipelines.evaluation.run import evaluate
from pipelines.evaluation.walk import model_fill
from pipelines.files import publish_folder
from pipelines.params import Settings
from sgenet.errors import CheckpointError, SettingsError
from sgenet.label_space import LabelSpace
from sgenet.methods.release import Released, load_released


def run(settings: Settings, dataset: str, method: str, shards: Path, masks: Path, model: Path, output: Path) -> None:
    """Evaluate a released model and write its scores, tables and pictures.

    Args:
        settings: the whole of ``params.yaml``.
        dataset, method: which of them.
        shards, masks, model: folders that the stages of these names wrote.
        output: folder to write; see :mod:`pipelines.evaluation.files`.

    Raises:
        CheckpointError: the model is of another method or of other classes.
        SettingsError: a GPU is asked for and there is none.
        DataError: shards or masks are unfinished or do not belong together.
    """
    released = load_released(model)
    _check(released, method, settings.data[dataset].labels, model)
    if settings.run.use_gpu and not torch.cuda.is_available():
        raise SettingsError(["run.use_gpu is true, but PyTorch finds no GPU; set it to false"])
    device = torch.device("cuda" if settings.run.use_gpu else "cpu")
    with publish_folder(output) as folder:
        evaluate(model_fill(released, device), settings, dataset, method, shards, masks, folder)


def _check(released: Released, method: str, labels: LabelSpace, model: Path) -> None:
    if released.method_name != method:
        raise CheckpointError(f"{model} holds a {released.method_name}, not a {method}; run its train stage again")
    if released.label_space.names != labels.names:
        raise CheckpointError(
            f"{model} was trained for the classes {', '.join(released.label_space.names)}, the dataset has "
            f"{', '.join(labels.names)}; run its train stage again"
        )
