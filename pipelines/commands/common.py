"""What every command of ``python -m pipelines`` offers, and what several of them share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Protocol

from pipelines.layout import PARAMS


class Command(Protocol):
    """A module of this package. It is imported to show its help: what is heavy it imports in ``execute``."""

    HELP: str
    """One sentence."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's arguments."""

    def execute(self, options: argparse.Namespace) -> int | None:
        """Run it, and return an exit status of its own where it has one; None is 0.

        Raises:
            UserError: something the user can fix.
        """


def add_params(parser: argparse.ArgumentParser) -> None:
    """Add ``--params``, the settings file."""
    parser.add_argument("--params", type=Path, default=PARAMS, help="settings file (default: params.yaml)")


def positive(text: str) -> int:
    """A whole number from 1 on, as the type of an argument."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 on")
    return number
