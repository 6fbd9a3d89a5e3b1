"""The VGG that a training's losses judge with, for nodes that have neither the file nor a way to download it.

528 MB, published once under their hash, and fetched once a node.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipelines.data.published import fetch_files, is_published, publish_files
from pipelines.storage.files import sha256_of_file
from pipelines.storage.store import Storage, open_storage
from pipelines.training.job import TrainingJob
from sgenet.losses.vgg import imagenet_file, read_vgg_state
from sgenet.methods.recipe import Recipe
from sgenet.methods.registry import METHODS

_FOLDER = "weights"


def publish_weights(method: str, recipe: Recipe, storage: Storage) -> Recipe:
    """Publish the file that the recipe's ``perceptual_weights`` mean; what is there already is not sent again.

    ImageNet's weights that are there already need not be on this machine.

    Args:
        method: an inpainting method or a segmenter.

    Returns:
        The recipe with the path there in place of the setting; as it is where no file is needed.

    Raises:
        CheckpointError: the weights cannot be had on this machine.
    """
    weights = _weights(method, recipe)
    if weights in ("none", "random"):
        return recipe
    path = Path(weights)
    if weights == "imagenet":
        path = imagenet_file(METHODS[method].vgg)
        published = f"{_FOLDER}/{path.stem}"
        if not is_published(storage, published) and not path.is_file():
            read_vgg_state(METHODS[method].vgg, weights, f"{_section(method)}.perceptual_weights")
    elif path.is_file():
        published = f"{_FOLDER}/{sha256_of_file(path)}"
    else:
        # The loss says so when it is built.
        return recipe
    publish_files(path.parent, [path.name], storage, published)
    return _with_weights(method, recipe, f"{published}/{path.name}")


def fetch_weights(job: TrainingJob) -> TrainingJob:
    """The job with the file of :func:`publish_weights` on this node.

    Raises:
        DataError: what was published is gone, or the storage or the disk cannot be used.
    """
    weights = _weights(job.method, job.recipe)
    if job.published is None or not weights.startswith(f"{_FOLDER}/"):
        return job
    folder, _, name = weights.rpartition("/")
    local = Path(job.cache.folder).expanduser() / folder
    fetch_files(open_storage(job.published), folder, local)
    return replace(job, recipe=_with_weights(job.method, job.recipe, str(local / name)))


def without_weights(job: TrainingJob) -> TrainingJob:
    """The job for a process that takes no step: its losses' VGG is not trained, and is part of no checkpoint."""
    if _weights(job.method, job.recipe) == "none":
        return job
    return replace(job, recipe=_with_weights(job.method, job.recipe, "random"))


def _weights(method: str, recipe: Recipe) -> str:
    return METHODS[method].perceptual_weights(recipe) if method in METHODS else "none"


def _section(method: str) -> str:
    """Of the recipe, that has the setting: the method's own, or that of Base-Net, SG-Net and SGE-Net."""
    return method if METHODS[method].settings is not None else "losses"


def _with_weights(method: str, recipe: Recipe, weights: str) -> Recipe:
    section = _section(method)
    return replace(recipe, **{section: replace(getattr(recipe, section), perceptual_weights=weights)})
