"""``python -m pipelines export``: a released model as one file for other runtimes."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.tracking.model_source import SPECS
from sgenet.errors import UserError

HELP = "Export a model as an ONNX file, or as a program of torch.export."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, the format and the file."""
    parser.add_argument(
        "--model", help=f"{SPECS} (default: the champion, or the model shipped with the code)", metavar="MODEL"
    )
    parser.add_argument(
        "--format", choices=("onnx", "torch_export"), default="onnx", help="onnx (default), or torch_export (.pt2)"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="file to write (.onnx or .pt2)")


def execute(options: argparse.Namespace) -> None:
    """Export, prove the file equal to the model, then publish it.

    Raises:
        UserError: there is no such model, or the output's name has another ending than its format's.
    """
    suffix = ".onnx" if options.format == "onnx" else ".pt2"
    if options.output.suffix != suffix:
        raise UserError(f"the output {options.output} must end in {suffix}, as the format {options.format} does")
    from pipelines.registry.export.model import export_model
    from pipelines.storage.files import check_writable
    from pipelines.tracking.model_source import find_model

    check_writable(options.output)
    source = find_model(options.model)
    print(f"exporting {source.name}; this takes a minute", flush=True)
    description, agreement = export_model(source.folder, options.output, options.format)
    print(description)
    print(f"equal to the model: {agreement}")
    print(f"{options.output}: {options.output.stat().st_size / 2**20:.1f} MiB")
