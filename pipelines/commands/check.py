"""``python -m pipelines check``: read the settings and report every problem."""

from __future__ import annotations

import argparse

from pipelines.commands.common import add_params
from pipelines.settings.load import load

HELP = "Check params.yaml and report every problem."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``--params``."""
    add_params(parser)


def execute(options: argparse.Namespace) -> None:
    """Read the settings; what is wrong with them is raised."""
    load(options.params)
    print(f"{options.params}: no problem found")
