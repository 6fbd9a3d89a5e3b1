"""The name of a logical training: a hash of everything that decides what is learnt and recorded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pipelines
import sgenet
from pipelines.files import digest_files
from sgenet.errors import DataError
from sgenet.label_space import LabelSpace
from sgenet.settings import HoleSettings, Recipe

_LENGTH = 16

# Change neither the weights nor the recorded history, so a run continues when they are edited.
_OPERATIONAL = ("loader_processes", "checkpoint_every", "keep_checkpoints")

# Parts of sgenet that training never imports.
_NOT_TRAINED_WITH = ("figures.py", "inpainter", "segmenters")

# Parts of pipelines that decide which pixels a step sees, and in what order.
_DATA_PATH = ("shards/decode.py", "shards/loader.py", "shards/reader.py", "shards/sampler.py")


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
) -> str:
    """Name a logical training: equal names may continue each other's checkpoints.

    Args:
        data_digest: of the shards' index, which holds the hash of every sample.
        masks_digest: of the evaluation masks, which the recorded validation scores depend on.
        code_digest: see :func:`digest_code`.

    Returns:
        16 hexadecimal digits.

    Raises:
        DataError: when a folder of mask files that a hole names does not exist.
    """
    settings = asdict(recipe)
    for name in _OPERATIONAL:
        del settings["training"][name]
    identity = {
        "method": method,
        "recipe": settings,
        "label_space": asdict(label_space),
        "crop": crop,
        "holes": [_describe_hole(hole) for hole in holes],
        "data": data_digest,
        "masks": masks_digest,
        "code": code_digest,
    }
    text = json.dumps(identity, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def digest_code() -> str:
    """Hash the sources that training runs: the method's package and the data path."""
    library, platform = _package_folder(sgenet.__file__), _package_folder(pipelines.__file__)
    trained_with = [
        path for path in library.rglob("*.py") if path.relative_to(library).parts[0] not in _NOT_TRAINED_WITH
    ]
    data_path = [path for name in _DATA_PATH if (path := platform / name).exists()]
    return digest_files([*trained_with, *data_path], library.parent)


def _describe_hole(hole: HoleSettings) -> dict[str, object]:
    described: dict[str, object] = asdict(hole)
    if hole.path is not None:
        # The files count, not where they lie.
        folder = Path(hole.path)
        if not folder.is_dir():
            raise DataError(f"the folder of mask files {folder} does not exist; correct masks.….path or put it there")
        described["path"] = digest_files((path for path in folder.rglob("*") if path.is_file()), folder)
    return described


def _package_folder(init: str | None) -> Path:
    assert init is not None, "both packages have an __init__.py"
    return Path(init).resolve().parent
