"""``python -m pipelines promote``: make a version champion, if it is better where it must be and worse nowhere."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

from pipelines.commands.common import add_params

if TYPE_CHECKING:
    from pipelines.registry.gate.promote import Promotion

HELP = "Make a version of the registered model champion, if it is better on the same images."
DESCRIPTION = """\
Compare a challenger with the champion on the same images, holes and metric code, check what must hold
for any model, and let `champion` point at the challenger if it passes. Refused or not, the decision and
its table are written to the challenger's version.

The challenger passes when
  - its weights are the registered ones; it leaves known pixels as they are, gives finite numbers, the same
    twice, takes every size, and is not much slower than the champion,
  - the paired improvement of the primary score has a 95 % interval above zero, and
  - no other score is worse beyond its tolerance, for any set of holes and in any stratum.
Without a champion it must beat a method without learning. The settings are under `promotion` in params.yaml.
"""
EPILOG = """\
exit status:
  0  promoted (with --dry-run: would be), or the champion already
  2  something you can fix: no such model, no scores and no data to take them on …
  3  refused
  4  promoted, but another command moved the champion at the same time; the last one wins
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, the challenger, and how to report."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.add_argument("--model", metavar="NAME", help="registered model (default: the one of params.yaml)")
    parser.add_argument(
        "--challenger", default="candidate", metavar="ALIAS|VERSION", help="the version to promote (%(default)s)"
    )
    parser.add_argument("--dry-run", action="store_true", help="change nothing, print the same")
    parser.add_argument("--json", action="store_true", help="print one JSON object, for machines")
    add_params(parser)


def execute(options: argparse.Namespace) -> int:
    """See :func:`pipelines.registry.gate.promote.promote`; the exit status is in the help."""
    from pipelines.registry.gate.promote import promote
    from pipelines.registry.history import default_model
    from pipelines.settings.load import load

    settings = load(options.params)
    name = options.model or default_model(settings)
    # Progress bars and libraries write to stdout, which belongs to the result.
    with redirect_stdout(sys.stderr):
        outcome = promote(name, options.challenger, settings, dry_run=options.dry_run, say=_say)
    if options.json:
        print(_json(name, outcome), end="")
    else:
        _print(name, outcome)
    return outcome.status


def _json(name: str, outcome: Promotion) -> str:
    from dataclasses import asdict

    from pipelines.registry.gate.tables import to_json

    more = {
        "status": int(outcome.status),
        "sentence": outcome.sentence,
        "evidence": outcome.evidence,
        "entry": None if outcome.entry is None else asdict(outcome.entry),
    }
    if outcome.judgement is None:
        return json.dumps({"model": name, **more}, indent=2, ensure_ascii=False) + "\n"
    return to_json(name, outcome.judgement, **more)


def _print(name: str, outcome: Promotion) -> None:
    from rich.text import Text

    from pipelines.registry.gate.tables import to_terminal
    from pipelines.registry.terminal import show
    from pipelines.settings.program import program

    if outcome.judgement is not None:
        show(to_terminal(name, outcome.judgement))
    show(Text(outcome.sentence, "bold"))
    if outcome.evidence:
        show(Text(f"the whole table: {program()} history --full --model {name}", "dim"))


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
