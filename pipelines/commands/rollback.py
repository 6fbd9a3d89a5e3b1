"""``python -m pipelines rollback``: make the previous champion champion again."""

from __future__ import annotations

import argparse
import json
import sys

from pipelines.commands.common import add_params

HELP = "Make the previous champion of a registered model champion again."
EPILOG = """\
Nothing is compared: this is the way back when something is wrong. Run twice, it goes back two versions.

exit status: 0 done, 2 there is no earlier champion, 4 another command moved the champion at the same time
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The model, and the reason for the history."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    parser.add_argument("--model", metavar="NAME", help="registered model (default: the one of params.yaml)")
    parser.add_argument("--reason", default="no reason given", metavar="TEXT", help="kept in the history")
    parser.add_argument("--dry-run", action="store_true", help="change nothing, say what would be done")
    parser.add_argument("--json", action="store_true", help="print one JSON object, for machines")
    add_params(parser)


def execute(options: argparse.Namespace) -> int:
    """See :func:`pipelines.registry.history.roll_back`; the exit status is in the help."""
    from dataclasses import asdict

    from pipelines.registry.champions import OvertakenError
    from pipelines.registry.history import Status, default_model, roll_back
    from pipelines.settings.load import load

    name = options.model or default_model(load(options.params))
    try:
        done = roll_back(name, options.reason, dry_run=options.dry_run, say=lambda text: print(text, file=sys.stderr))
    except OvertakenError as error:
        print(f"error: {error}", file=sys.stderr)
        return Status.OVERTAKEN
    print(json.dumps({"model": name, **asdict(done)}, indent=2, ensure_ascii=False) if options.json else done.sentence)
    return Status.DONE
