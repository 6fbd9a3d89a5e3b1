"""What a model's scores rest on: two models are compared by what was stored with them only where it is the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.evaluation.files import IMAGES, SUMMARY
from pipelines.registry.gate.images import ImageTable, read_images
from sgenet.errors import DataError
from sgenet.methods.registry import LABEL_STARTED_METHODS

_IDENTITY = {
    "dataset": "dataset",
    "split": "split",
    "shards_digest": "images",
    "masks_digest": "holes",
    "code_digest": "metric code",
    "precision": "precision",
}
"""Keys of ``evaluation.json`` that must agree, and what they stand for."""

_SEGMENTER = "segmenter_sha256"


@dataclass(frozen=True)
class Evidence:
    """The scores of one model, and what they were taken on.

    Attributes:
        identity: dataset, split, the digests of images, holes and metric code, and the precision.
        segmenter: what the labels that the filling started from are of; None for a method that starts from none.
        weights_sha256: of the weights that were scored; None for a method without.
        images: the scores.
    """

    identity: Mapping[str, str]
    segmenter: str | None
    weights_sha256: str | None
    images: ImageTable


def read_evidence(folder: Path) -> Evidence:
    """Read what an evaluation left in a folder.

    Raises:
        DataError: a file is missing or damaged, or was written before evaluations said what scored them.
    """
    path = folder / SUMMARY
    try:
        # Evaluations that say nothing of it filled in float32.
        summary = {"precision": "float32"} | json.loads(path.read_text(encoding="utf-8"))
        identity = {key: str(summary[key]) for key in _IDENTITY}
        weights = summary["weights_sha256"]
        starts_from_labels = summary["method"] in LABEL_STARTED_METHODS
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} cannot be used ({type(error).__name__}: {error}); evaluate the model again") from error
    segmenter = str(summary.get(_SEGMENTER)) if starts_from_labels else None
    return Evidence(identity, segmenter, weights, read_images(folder / IMAGES))


def differences(first: Evidence, second: Evidence) -> list[str]:
    """In what two evaluations differ, in words; empty where their scores may be compared."""
    found = [what for key, what in _IDENTITY.items() if first.identity[key] != second.identity[key]]
    if first.segmenter and second.segmenter and first.segmenter != second.segmenter:
        found.append("segmenters")
    return found
