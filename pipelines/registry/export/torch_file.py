"""From a traced program to a ``.pt2`` file, for PyTorch without this project's code."""

from __future__ import annotations

import io
import json

import torch

from pipelines.registry.export.description import Description

DESCRIPTION_FILE = "sgenet.json"
"""The name of the description in the file, as ``torch.export.load(…, extra_files={…})`` asks for it."""


def to_pt2(program: torch.export.ExportedProgram, description: Description) -> bytes:
    """Write the program with its description beside it.

    Weights lie in the file as plain bytes; nothing of ours in it has to be unpickled.
    """
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            # It names folders of this machine.
            node.meta.pop("stack_trace", None)
    content = io.BytesIO()
    about = json.dumps({"about": description.text, **description.properties}, indent=2)
    torch.export.save(program, content, extra_files={DESCRIPTION_FILE: about})
    return content.getvalue()


def foreign_operators(program: torch.export.ExportedProgram) -> set[str]:
    """What the program calls that is neither an operator of ATen nor arithmetic on sizes."""
    called = {node.target for node in program.graph.nodes if node.op == "call_function"}
    operators = (target for target in called if isinstance(target, torch._ops.OpOverload))
    return {str(target) for target in operators if target.namespace != "aten" or "fft" in str(target)}
