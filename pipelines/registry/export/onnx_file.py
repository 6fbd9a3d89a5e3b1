"""From a traced program to an ONNX file of standard operators."""

from __future__ import annotations

import contextlib
import io
import logging
from typing import Any

import onnx
import torch

OPSET = 18
"""The oldest with every operator needed (Col2Im), so that older runtimes can run the file too."""


def to_onnx(
    program: torch.export.ExportedProgram,
    input_names: tuple[str, ...],
    output_names: tuple[str, ...],
    text: str,
    properties: dict[str, str],
) -> bytes:
    """Convert, describe and check.

    Raises:
        RuntimeError: something in the program has no standard operator.
    """
    with _silence():
        converted = torch.onnx.export(
            program,
            input_names=list(input_names),
            output_names=list(output_names),
            opset_version=OPSET,
            external_data=False,
            verbose=False,
        )
    assert converted is not None
    model: onnx.ModelProto = converted.model_proto
    _forget_origins(model)
    _name_sizes(model)
    model.producer_name, model.producer_version = "sgenet", properties["sgenet.version"]
    model.doc_string = text
    onnx.helper.set_model_props(model, properties)
    onnx.checker.check_model(model, full_check=True)
    _check_operators(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _forget_origins(model: onnx.ModelProto) -> None:
    """Leave out what the exporter noted of the source lines: it names folders of this machine."""
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output):
        value.ClearField("metadata_props")
    for tensor in model.graph.initializer:
        tensor.ClearField("metadata_props")
    # Shapes in between, in symbols of the exporter; runtimes infer them again.
    model.graph.ClearField("value_info")
    model.graph.ClearField("metadata_props")
    model.ClearField("metadata_props")


def _name_sizes(model: onnx.ModelProto) -> None:
    for value in (*model.graph.input, *model.graph.output):
        for size, name in zip(value.type.tensor_type.shape.dim, ("batch", "height", "width"), strict=False):
            size.dim_param = name


def _check_operators(model: onnx.ModelProto) -> None:
    """The checker knows the operators of ONNX itself; what else there is belongs to another domain or is a function."""
    foreign = {node.domain for node in model.graph.node if node.domain}
    if foreign or len(model.functions) or any(opset.domain for opset in model.opset_import):
        found = ", ".join(sorted(foreign)) or "functions of the exporter's own"
        raise RuntimeError(f"the exported graph holds {found}, which is not a standard ONNX operator")


@contextlib.contextmanager
def _silence() -> Any:
    """Keep the exporter's notes on its own steps off the screen."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
