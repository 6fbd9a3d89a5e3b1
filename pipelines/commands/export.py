"""``python -m pipelines export``: a released model as one file for other runtimes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.tracking.model_source import SPECS
from sgenet.errors import UserError

if TYPE_CHECKING:
    from pipelines.registry.export.model import Format

_FORMATS: dict[str, Format] = {".onnx": "onnx", ".pt2": "torch_export"}

HELP = "Export a model as an ONNX file, or as a program of torch.export."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model and the file."""
    parser.add_argument(
        "--model", help=f"{SPECS} (default: the champion, or the model shipped with the code)", metavar="MODEL"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="file to write: .onnx, or .pt2 (torch.export)")


def execute(options: argparse.Namespace) -> None:
    """Export, prove the file equal to the model, then publish it.

    Raises:
        UserError: there is no such model, or the output's name has the ending of no format.
    """
    if options.output.suffix not in _FORMATS:
        raise UserError(f"the output {options.output} must end in {' or '.join(_FORMATS)}")
    from pipelines.registry.export.model import export_model
    from pipelines.storage.files import check_writable
    from pipelines.tracking.model_source import find_model

    check_writable(options.output)
    source = find_model(options.model)
    print(f"exporting {source.name}; this takes a minute", flush=True)
    description, agreement = export_model(source.folder, options.output, _FORMATS[options.output.suffix])
    print(description)
    print(f"equal to the model: {agreement}")
    print(f"{options.output}: {options.output.stat().st_size / 2**20:.1f} MiB")
