"""A fitted segmenter as two files: ``model.safetensors`` (its weights) and ``model.json`` (what they are)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from sgenet.errors import CheckpointError
from sgenet.label_space import LabelSpace
from sgenet.methods.release import DESCRIPTION, WEIGHTS, described_labels, from_dict, write_network
from sgenet.segmenters.build import SEGMENTERS, build_segmenter
from sgenet.segmenters.settings import SegmenterRecipe

FORMAT_VERSION = 2


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
    content = {
        "format_version": FORMAT_VERSION,
        "segmenter": name,
        "recipe": dataclasses.asdict(recipe),
        "label_space": dataclasses.asdict(label_space),
    }
    write_network(folder, network, content)


def load_segmenter(folder: Path) -> ReleasedSegmenter:
    """Read a segmenter written by :func:`save_segmenter`. No file but these two is needed.

    Raises:
        CheckpointError: a file is missing or damaged, or it holds something else.
    """
    weights, description = folder / WEIGHTS, folder / DESCRIPTION
    try:
        content = json.loads(description.read_text(encoding="utf-8"))
        if content.get("format_version") != FORMAT_VERSION or content.get("segmenter") not in SEGMENTERS:
            raise CheckpointError(f"{description} does not describe a segmenter of this version; fit it again")
        recipe = from_dict(SegmenterRecipe, content["recipe"])
        label_space = described_labels(content)
        network = build_segmenter(content["segmenter"], recipe, label_space.num_classes, load=False)
        network.load_state_dict(load_file(weights))
        sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    except FileNotFoundError:
        missing = weights if description.exists() else description
        raise CheckpointError(
            f"{missing} does not exist; a segmenter is a folder with {DESCRIPTION} and {WEIGHTS}"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"the segmenter in {folder} is damaged: {' '.join(str(error).split())[:300]}") from None
    return ReleasedSegmenter(content["segmenter"], network.eval(), recipe, label_space, sha256)
