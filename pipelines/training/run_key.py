"""The name of a logical training: a hash of everything that decides what is learnt and recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.storage.files import digest_files, sha256_of_file
from sgenet.errors import DataError
from sgenet.label_space import LabelSpace
from sgenet.methods.recipe import Recipe
from sgenet.segmenters.settings import SegmenterRecipe
from sgenet.settings import HoleSettings

_LENGTH = 16

# Change neither the weights nor the recorded history, so a run continues when they are edited.
_OPERATIONAL = ("loader_processes", "checkpoint_every", "keep_checkpoints")

TRAINED_BY = (
    "sgenet.training.loop",
    "sgenet.methods.build",
    "sgenet.masks",
    "sgenet.transforms",
    "pipelines.data.shards.decode_raw",
    "pipelines.data.shards.loader",
)
"""What decides the result of a training: the loop, the methods, and which pixels a step sees, in what order."""

FITTED_BY = (*TRAINED_BY, "sgenet.segmenters.build", "sgenet.segmenters.method")
"""The same for the fitting of a segmenter."""


def run_key(
    *,
    method: str,
    recipe: Recipe,
    label_space: LabelSpace,
    crop: int,
    holes: Sequence[HoleSettings],
    data_digest: str,
    masks_digest: str,
    code_digest: str,
    labels_digest: str | None = None,
    start_digest: str | None = None,
) -> str:
    """Name a logical training: equal names may continue each other's checkpoints.

    Args:
        data_digest: of the shards' index, which holds the hash of every sample.
        masks_digest: of the evaluation masks, which the recorded validation scores depend on.
        code_digest: of :data:`TRAINED_BY`; see :func:`pipelines.storage.code.digest_code`.
        labels_digest: of automatic labels; None where labels are those of the data.
        start_digest: of the weights that the training starts from; None where it starts from nothing.

    Returns:
        16 hexadecimal digits.

    Raises:
        DataError: when a folder of mask files that a hole names does not exist.
    """
    settings = _without_operation(recipe)
    for part in settings.values():
        if isinstance(part, dict) and "perceptual_weights" in part:
            part["perceptual_weights"] = _describe_vgg(part["perceptual_weights"])
    # The weights count, not what they are called.
    settings["start_from"] = start_digest
    identity: dict[str, object] = {
        "method": method,
        "recipe": settings,
        "label_space": asdict(label_space),
        "crop": crop,
        "holes": [_describe_hole(hole) for hole in holes],
        "data": data_digest,
        "masks": masks_digest,
        "code": code_digest,
    }
    if labels_digest is not None:
        identity["labels"] = labels_digest
    return _hashed(identity)


def segmenter_key(
    *,
    segmenter: str,
    recipe: SegmenterRecipe,
    label_space: LabelSpace,
    crop: int,
    validation_split: str,
    data_digest: str,
    code_digest: str,
) -> str:
    """Name the fitting of a segmenter, as :func:`run_key` names a training.

    Raises:
        DataError: when a file of weights that the recipe names does not exist.
    """
    settings = _without_operation(recipe)
    for network in ("deep_parsing", "deeplab"):
        settings[network]["weights"] = _describe_weights(settings[network]["weights"], f"{network}.weights")
    identity = {
        "segmenter": segmenter,
        "recipe": settings,
        "label_space": asdict(label_space),
        "crop": crop,
        "validation": validation_split,
        "data": data_digest,
        "code": code_digest,
    }
    return _hashed(identity)


def _describe_hole(hole: HoleSettings) -> dict[str, object]:
    described: dict[str, object] = asdict(hole)
    if hole.path is not None:
        # The files count, not where they lie.
        folder = Path(hole.path)
        if not folder.is_dir():
            raise DataError(f"the folder of mask files {folder} does not exist; correct masks.….path or put it there")
        described["path"] = digest_files((path for path in folder.rglob("*") if path.is_file()), folder)
    return described


def _describe_weights(weights: str, setting: str) -> str:
    if weights in ("none", "imagenet"):
        return weights
    # The file counts, not where it lies.
    path = Path(weights)
    if not path.is_file():
        raise DataError(f"the weights file {path} does not exist; correct labels.….recipe.{setting} or put it there")
    return sha256_of_file(path)


def _describe_vgg(weights: str) -> str:
    # The file counts, not where it lies. One that is missing may be unused; else the loss says so when it is built.
    named = weights in ("imagenet", "random") or not Path(weights).is_file()
    return weights if named else sha256_of_file(Path(weights))


def _without_operation(recipe: Recipe | SegmenterRecipe) -> dict[str, Any]:
    settings = asdict(recipe)
    for name in _OPERATIONAL:
        del settings["training"][name]
    return settings


def _hashed(identity: Mapping[str, object]) -> str:
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]
