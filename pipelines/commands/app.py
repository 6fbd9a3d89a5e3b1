"""``python -m pipelines app``: the web page to fill holes on."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from pipelines.commands.common import check_free, port, positive, positive_number

if TYPE_CHECKING:
    from pipelines.tracking.model_source import ModelSource

HELP = "Open the web page: mark a hole, fill it, edit the segmentation."
HOST, PORT = "127.0.0.1", 7860


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to listen, the models beside the registered ones, and the limits."""
    parser.add_argument("--host", default=HOST, help="address to listen on; 0.0.0.0 lets others in (default: loopback)")
    parser.add_argument("--port", type=port, default=PORT, help=f"default: {PORT}")
    parser.add_argument(
        "--model", action="append", default=[], help="offer this model too: a folder, NAME@ALIAS, …; may be repeated"
    )
    parser.add_argument("--max-megapixels", type=positive_number, default=64, help="largest image (default: 64)")
    parser.add_argument("--max-mebibytes", type=positive, default=128, help="largest file (default: 128)")


def execute(options: argparse.Namespace) -> None:
    """Serve the page until it is interrupted.

    Raises:
        UserError: there is no model, one cannot be found, or the port cannot be used.
    """
    from pipelines.inference.page.limits import PageLimits
    from pipelines.inference.page.models import ModelShelf
    from pipelines.inference.page.server import running, warn_if_open

    check_free(options.port, options.host)
    limits = PageLimits(pixels=round(options.max_megapixels * 1e6), file_bytes=options.max_mebibytes * 2**20)
    logging.basicConfig(level=logging.WARNING)
    shelf = ModelShelf(partial(_models, options.model), limits.models)
    with running(shelf, limits, options.host, options.port) as page:
        print(f"fill holes at {page.local_url} (Ctrl-C stops)", flush=True)
        warn_if_open(options.host)
        page.block_thread()


def _models(specs: Sequence[str]) -> list[ModelSource]:
    """Those named, then every registered one and the shipped one, none twice."""
    from pipelines.tracking.model_source import find_model, list_models

    found = [*map(find_model, specs), *list_models()]
    return list({source.folder.resolve(): source for source in found}.values())
