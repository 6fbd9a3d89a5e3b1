"""The VGG that a training's losses judge with, for nodes that have neither the file nor a way to download it.

528 MB, published once under the file's hash, and fetched once a node.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipelines.data.published import fetch_files, publish_files
from pipelines.storage.files import sha256_of_file
from pipelines.storage.store import Storage, open_storage
from pipelines.training.job import TrainingJob
from sgenet.losses.vgg import imagenet_file
from sgenet.methods.registry import METHODS

_FOLDER = "weights"


def publish_weights(job: TrainingJob, storage: Storage) -> TrainingJob:
    """Publish the file that the job's ``perceptual_weights`` mean; what is there already is not sent again.

    Returns:
        The job with the path there in place of the setting; as it is where no file is needed.

    Raises:
        CheckpointError: the weights cannot be had on this machine.
    """
    if job.method not in METHODS:
        return job
    weights = METHODS[job.method].perceptual_weights(job.recipe)
    if weights in ("none", "random"):
        return job
    path = Path(weights)
    if weights == "imagenet":
        path = imagenet_file(METHODS[job.method].vgg, f"{_section(job)}.perceptual_weights")
    if not path.is_file():
        # The loss says so when it is built.
        return job
    published = f"{_FOLDER}/{sha256_of_file(path)}"
    publish_files(path.parent, [path.name], storage, published)
    return _with_weights(job, f"{published}/{path.name}")


def fetch_weights(job: TrainingJob) -> TrainingJob:
    """The job with the file of :func:`publish_weights` on this node.

    Raises:
        DataError: what was published is gone, or the storage or the disk cannot be used.
    """
    if job.published is None or job.method not in METHODS:
        return job
    weights = METHODS[job.method].perceptual_weights(job.recipe)
    if not weights.startswith(f"{_FOLDER}/"):
        return job
    folder, _, name = weights.rpartition("/")
    local = Path(job.cache.folder).expanduser() / folder
    fetch_files(open_storage(job.published), folder, local)
    return _with_weights(job, str(local / name))


def _section(job: TrainingJob) -> str:
    """Of the recipe, that has the setting: the method's own, or that of Base-Net, SG-Net and SGE-Net."""
    return job.method if METHODS[job.method].settings is not None else "losses"


def _with_weights(job: TrainingJob, weights: str) -> TrainingJob:
    section = _section(job)
    changed = replace(getattr(job.recipe, section), perceptual_weights=weights)
    return replace(job, recipe=replace(job.recipe, **{section: changed}))
