"""``python -m pipelines history``: who was champion when, and why."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from pipelines.commands.common import add_params

if TYPE_CHECKING:
    from pipelines.registry.history import ChampionHistory

HELP = "Show who was champion of a registered model when, why, and what the gate refused."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model."""
    parser.add_argument("--model", metavar="NAME", help="registered model (default: the one of params.yaml)")
    printed = parser.add_mutually_exclusive_group()
    printed.add_argument("--full", action="store_true", help="print every decision with all its reasons and scores")
    printed.add_argument("--json", action="store_true", help="print one JSON object, for machines")
    add_params(parser)


def execute(options: argparse.Namespace) -> None:
    """See :func:`pipelines.registry.history.look_back`."""
    from pipelines.registry.history import default_model, look_back
    from pipelines.settings.load import load

    history = look_back(options.model or default_model(load(options.params)))
    if options.json:
        print(_json(history))
    else:
        _print(history, full=options.full)


def _json(history: ChampionHistory) -> str:
    from dataclasses import asdict

    content = {
        "model": history.name,
        "champion": history.state.champion,
        "note": history.note,
        "moves": [asdict(entry) for entry in history.state.entries],
        "decisions": [{"version": version, **asdict(record)} for version, record in history.decisions],
    }
    return json.dumps(content, indent=2, ensure_ascii=False)


def _print(history: ChampionHistory, *, full: bool) -> None:
    from rich.text import Text

    from pipelines.registry.decisions import decision_document
    from pipelines.registry.terminal import decisions_grid, moves_grid, show
    from pipelines.settings.program import program

    champion = history.state.champion
    now = "has no champion" if champion is None else f"version {champion} is champion"
    show(Text(f"{history.name}: {now}", "bold"))
    if history.note:
        show(Text(history.note, "yellow"))
    if history.state.entries:
        show(moves_grid(history.state.entries))
    if full:
        for _, record in history.decisions:
            print(f"\n{decision_document(record)}", end="")
    elif history.decisions:
        show(decisions_grid(history.decisions))
        show(Text(f"all reasons and scores: {program()} history --full --model {history.name}", "dim"))
