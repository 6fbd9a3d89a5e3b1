"""``python -m pipelines ship``: make a trained model the one that ships with the package."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.commands.common import add_params, check_dataset

HELP = "Copy a trained and evaluated model, with its card, to where the package ships one."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings, which model of them, and where to."""
    add_params(parser)
    parser.add_argument("--dataset", required=True, help="a name in datasets of the settings file")
    parser.add_argument("--method", default="sge_net", help="a name in methods of it (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, help="folder to write into (default: pipelines/registry/shipped)")


def execute(options: argparse.Namespace) -> None:
    """See :func:`pipelines.registry.shipping.ship`.

    Raises:
        UserError: the dataset is none of the settings', or the model cannot be shipped.
    """
    from pipelines.registry.shipping import SHIPPED, ship
    from pipelines.settings.load import load

    settings, output = load(options.params), options.output or SHIPPED
    check_dataset(settings, options.dataset)
    ship(settings, options.dataset, options.method, options.params, output)
    print(f"{output}: model and card written; commit them to ship them")
