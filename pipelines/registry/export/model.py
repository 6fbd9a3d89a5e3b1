"""Export a released model: trace, convert, prove equal, and only then publish the file."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Literal

import numpy as np
import torch

import sgenet
from pipelines.registry.export.equality import Agreement, Arrays, Run, compare
from pipelines.storage.files import sha256_of_file, write_atomically
from sgenet.export import InpaintingGraph, trace
from sgenet.methods.files import WEIGHTS
from sgenet.methods.release import Released, load_released

Format = Literal["onnx", "torch_export"]

DESCRIPTION_FILE = "sgenet.json"
"""The name of the description in a ``.pt2`` file, as ``torch.export.load(…, extra_files={…})`` asks for it."""

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


def export_model(folder: Path, output: Path, file_format: Format) -> tuple[str, Agreement]:
    """Write the model in ``folder`` as one file that needs none of this project's code.

    Returns:
        What the file says about itself, and how it compared with the model.

    Raises:
        CheckpointError: the folder does not hold a released model.
        DataError: the file cannot be written.
        RuntimeError: what came out does not compute what the model computes; nothing is written.
    """
    released = load_released(folder)
    graph = InpaintingGraph(released.generator)
    text, properties = _describe(released, graph, folder)
    make = _make_onnx if file_format == "onnx" else _make_pt2
    content, run = make(graph, text, properties)
    agreement = compare(graph, run)
    if not agreement.holds:
        raise RuntimeError(f"the exported model does not compute what the model computes: {agreement}")
    write_atomically(output, content)
    return text, agreement


def _describe(released: Released, graph: InpaintingGraph, folder: Path) -> tuple[str, dict[str, str]]:
    """What goes in and comes out, for people; and what goes into the file by name: method, classes, weights' hash."""
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
        "sgenet.weights_sha256": sha256_of_file(folder / WEIGHTS),
    }
    return "\n".join(lines), properties


def _make_onnx(graph: InpaintingGraph, text: str, properties: dict[str, str]) -> tuple[bytes, Run]:
    from pipelines.registry.export.onnx_file import to_onnx

    content = to_onnx(trace(graph), graph.input_names, graph.output_names, text, properties)
    return content, onnx_run(content, graph.input_names)


def _make_pt2(graph: InpaintingGraph, text: str, properties: dict[str, str]) -> tuple[bytes, Run]:
    program = trace(graph)
    if foreign := _foreign_operators(program):
        raise RuntimeError(f"the exported program holds {', '.join(sorted(foreign))}")
    content = _to_pt2(program, {"about": text, **properties})
    # Read back what was just written here, so nothing foreign is unpickled.
    module = torch.export.load(io.BytesIO(content)).module()

    def run(inputs: Arrays) -> Arrays:
        with torch.inference_mode():
            return [output.numpy() for output in module(*(torch.from_numpy(values) for values in inputs))]

    return content, run


def _to_pt2(program: torch.export.ExportedProgram, description: dict[str, str]) -> bytes:
    """The program with its description beside it: weights lie in it as plain bytes, nothing of ours is unpickled."""
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            # It names folders of this machine.
            node.meta.pop("stack_trace", None)
    content = io.BytesIO()
    torch.export.save(program, content, extra_files={DESCRIPTION_FILE: json.dumps(description, indent=2)})
    return content.getvalue()


def _foreign_operators(program: torch.export.ExportedProgram) -> set[str]:
    """What the program calls that is neither an operator of ATen nor arithmetic on sizes."""
    called = {node.target for node in program.graph.nodes if node.op == "call_function"}
    operators = (target for target in called if isinstance(target, torch._ops.OpOverload))
    return {str(target) for target in operators if target.namespace != "aten" or "fft" in str(target)}


def onnx_run(content: bytes, input_names: tuple[str, ...]) -> Run:
    """What ONNX Runtime computes on this machine's CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(inputs: Arrays) -> Arrays:
        given = {name: np.ascontiguousarray(values) for name, values in zip(input_names, inputs, strict=True)}
        outputs: Arrays = session.run(None, given)
        return outputs

    return run
