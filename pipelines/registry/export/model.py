"""Export a released model: trace, convert, prove equal, and only then publish the file."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from pipelines.registry.export.description import Description, describe
from pipelines.registry.export.equality import Agreement, Arrays, Run, compare
from pipelines.storage.files import write_atomically
from sgenet.export import InpaintingGraph, trace
from sgenet.methods.release import load_released

Format = Literal["onnx", "torch_export"]

DESCRIPTION_FILE = "sgenet.json"
"""The name of the description in a ``.pt2`` file, as ``torch.export.load(…, extra_files={…})`` asks for it."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        num_bytes: the file's size.
        description: what the file says about itself.
        agreement: how it compared with the model.
    """

    num_bytes: int
    description: Description
    agreement: Agreement


def export_model(folder: Path, output: Path, file_format: Format) -> Exported:
    """Write the model in ``folder`` as one file that needs none of this project's code.

    Raises:
        CheckpointError: the folder does not hold a released model.
        DataError: the file cannot be written.
        RuntimeError: what came out does not compute what the model computes; nothing is written.
    """
    released = load_released(folder)
    graph = InpaintingGraph(released.generator)
    description = describe(released, graph, folder)
    make: Callable[[InpaintingGraph, Description], tuple[bytes, Run]]
    make = _make_onnx if file_format == "onnx" else _make_pt2
    content, run = make(graph, description)
    agreement = compare(graph, run)
    if not agreement.holds:
        raise RuntimeError(f"the exported model does not compute what the model computes: {agreement}")
    write_atomically(output, content)
    return Exported(len(content), description, agreement)


def _make_onnx(graph: InpaintingGraph, description: Description) -> tuple[bytes, Run]:
    from pipelines.registry.export.onnx_file import to_onnx

    content = to_onnx(trace(graph), graph.input_names, graph.output_names, description)
    return content, onnx_run(content, graph.input_names)


def _make_pt2(graph: InpaintingGraph, description: Description) -> tuple[bytes, Run]:
    program = trace(graph)
    if foreign := _foreign_operators(program):
        raise RuntimeError(f"the exported program holds {', '.join(sorted(foreign))}")
    content = _to_pt2(program, description)
    # Read back what was just written here, so nothing foreign is unpickled.
    module = torch.export.load(io.BytesIO(content)).module()

    def run(inputs: Arrays) -> Arrays:
        with torch.inference_mode():
            return [output.numpy() for output in module(*(torch.from_numpy(values) for values in inputs))]

    return content, run


def _to_pt2(program: torch.export.ExportedProgram, description: Description) -> bytes:
    """The program with its description beside it: weights lie in it as plain bytes, nothing of ours is unpickled."""
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            # It names folders of this machine.
            node.meta.pop("stack_trace", None)
    content = io.BytesIO()
    about = json.dumps({"about": description.text, **description.properties}, indent=2)
    torch.export.save(program, content, extra_files={DESCRIPTION_FILE: about})
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
