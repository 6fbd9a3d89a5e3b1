"""What an exported file says about itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import sgenet
from pipelines.storage.files import sha256_of_file
from sgenet.export import InpaintingGraph
from sgenet.methods.release import Released

_INPUTS = {
    "image": "(batch, height, width, 3) uint8 RGB, any size",
    "hole_mask": (
        "(batch, height, width) uint8, missing from 128 on; a mask of nothing but 0 and 1 marks what is missing by 1"
    ),
    "known_edges": (
        "(batch, height, width) uint8, other than 0 on the Canny edges of the known part "
        "(scikit-image, sigma {sigma}), none of them in the hole"
    ),
}
_OUTPUTS = {
    "inpainted": "(batch, height, width, 3) uint8 RGB, the known pixels as they were given",
    "label": "(batch, height, width) uint8, ids of the classes in sgenet.classes",
    "confidence": "(batch, height, width) float32, the probability of the label",
}


@dataclass(frozen=True)
class Description:
    """Of an exported file.

    Attributes:
        text: what goes in and what comes out, for people.
        properties: names and values that go into the file: method, classes, version, and the weights' hash.
    """

    text: str
    properties: dict[str, str]


def describe(released: Released, graph: InpaintingGraph, folder: Path) -> Description:
    """Describe the export of the model in ``folder``."""
    sigma = released.recipe.edge_connect.sigma
    lines = [f"{released.method_name}: fills holes in images."]
    lines += [f"{name}: {_INPUTS[name].format(sigma=sigma)}" for name in graph.input_names]
    lines += [f"{name}: {_OUTPUTS[name]}" for name in graph.output_names]
    space = released.label_space
    properties = {
        "sgenet.version": sgenet.__version__,
        "sgenet.method": released.method_name,
        "sgenet.classes": json.dumps(space.names),
        "sgenet.colours": json.dumps(space.colours),
        "sgenet.weights_sha256": sha256_of_file(folder / "model.safetensors"),
    }
    return Description("\n".join(lines), properties)
