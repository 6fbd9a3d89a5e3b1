"""A fitted segmenter as two files: ``model.safetensors`` (its weights) and ``model.json`` (what they are)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from sgenet.errors import CheckpointError
from sgenet.label_space import LabelSpace
from sgenet.methods.files import DESCRIPTION, WEIGHTS
from sgenet.methods.release import (
    FORMAT_VERSION,
    damage_refused,
    described_labels,
    from_dict,
    write_network,
)
from sgenet.segmenters.build import SEGMENTERS, build_segmenter
from sgenet.segmenters.settings import SegmenterRecipe


@dataclass(frozen=True)
class ReleasedSegmenter:
    """A segmenter as it was released.

    Attributes:
        name: a key of :data:`sgenet.segmenters.build.SEGMENTERS`.
        network: in evaluation mode, on the CPU.
        recipe: how it was fitted.
        label_space: what its classes mean.
        sha256: of its weights file.
    """

    name: str
    network: nn.Module
    recipe: SegmenterRecipe
    label_space: LabelSpace
    sha256: str


def save_segmenter(
    folder: Path, name: str, network: nn.Module, recipe: SegmenterRecipe, label_space: LabelSpace
) -> None:
    """Write both files into ``folder`` (made if absent), the description last."""
    write_network(folder, network, {"segmenter": name}, recipe, label_space)


def load_segmenter(folder: Path) -> ReleasedSegmenter:
    """Read a segmenter written by :func:`save_segmenter`. No file but these two is needed.

    Raises:
        CheckpointError: a file is missing or damaged, or it holds something else.
    """
    with damage_refused(folder, "segmenter"):
        content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        if content.get("format_version") != FORMAT_VERSION or content.get("segmenter") not in SEGMENTERS:
            raise CheckpointError(f"{folder / DESCRIPTION} does not describe a segmenter of this version; fit it again")
        recipe, label_space = from_dict(SegmenterRecipe, content["recipe"]), described_labels(content)
        network = build_segmenter(content["segmenter"], recipe, label_space.num_classes, load=False)
        network.load_state_dict(load_file(folder / WEIGHTS))
        sha256 = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    return ReleasedSegmenter(content["segmenter"], network.eval(), recipe, label_space, sha256)
