"""What every command of ``python -m pipelines`` offers, and what several of them share."""

from __future__ import annotations

import argparse
import math
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from pipelines.settings.complaints import closest
from pipelines.settings.layout import PARAMS
from pipelines.settings.params import Settings
from sgenet.errors import UserError
from sgenet.methods.registry import METHODS


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


def add_precision(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add ``--precision``, what the networks compute with."""
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="bfloat16 is faster where the device has it, by up to half, and differs a little (default: float32)",
    )


def positive(text: str) -> int:
    """A whole number from 1 on, as the type of an argument."""
    number = int(text) if text.isdecimal() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 on")
    return number


def positive_number(text: str) -> float:
    """A number above 0, as the type of an argument."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number above 0")
    return number


def port(text: str) -> int:
    """A port to listen on, as the type of an argument."""
    number = int(text) if text.isdecimal() else 0
    if not 0 < number < 2**16:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port; give a number from 1 to 65535")
    return number


def check_free(port: int, host: str = "127.0.0.1") -> None:
    """Refuse an address that a server could not listen at, before the server is started.

    Raises:
        UserError: the port is taken, or the host is none of this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            # As servers do, so that a port just given back counts as free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise UserError(
            f"port {port} of {host} cannot be used ({error.strerror}); choose another with --port"
        ) from error


def ask_addressed_cluster() -> None:
    """Ask the cluster that ``RAY_ADDRESS`` names, where it names one: before PyTorch is imported and a run is opened.

    Raises:
        UserError: none answers there.
    """
    if os.environ.get("RAY_ADDRESS", "").strip():
        from pipelines.parallel.connect import ask_cluster

        ask_cluster()


def check_dataset(settings: Settings, dataset: str, *, trained_on: bool = True) -> None:
    """Raise a UserError where a dataset is none of the settings'.

    Args:
        trained_on: False where one will do that is filled by the models of another (``transfer``).
    """
    known = settings.datasets if trained_on else settings.evaluated
    if dataset in known:
        return
    if dataset in settings.evaluated:
        raise UserError(
            f"nothing is trained on '{dataset}', which transfer lists; its models are those of "
            f"'{settings.models_of(dataset)}'"
        )
    raise UserError(
        f"there is no dataset '{dataset}' in the settings ({', '.join(known)}){did_you_mean(dataset, known)}"
    )


def check_method(settings: Settings, method: str) -> None:
    """Raise a UserError where a method is none of the settings'."""
    if method in settings.methods:
        return
    if method in METHODS:
        raise UserError(f"{method} is not in methods ({', '.join(settings.methods)}); add it in params.yaml")
    raise UserError(f"there is no method '{method}' ({', '.join(METHODS)}){did_you_mean(method, METHODS)}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about a name that nothing has: which one it may be, if any is similar."""
    close = closest(name, known)
    return f"; did you mean {close}?" if close else "; correct the name"
