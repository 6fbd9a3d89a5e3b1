"""The command line, ``python -m pipelines <command>``: every stage of ``dvc.yaml`` and every tool, one function each.

Exit status: 0 done, 1 an internal error, 2 something the user can fix, 130 interrupted (the
same command resumes), 141 the output was closed; a command that has others says so in its ``--help``.
"""

from __future__ import annotations

import argparse
import errno
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from pipelines.commands import (
    app,
    check,
    example,
    export,
    history,
    init,
    inpaint,
    promote,
    publish,
    rollback,
    serve,
    ship,
    study,
    tune,
    ui,
)
from pipelines.commands.common import Command, add_params, ask_addressed_cluster, check_dataset, check_method
from pipelines.settings.complaints import closest
from pipelines.settings.layout import REPORT, DatasetPaths, RunPaths
from pipelines.settings.load import load
from pipelines.settings.params import Settings
from pipelines.settings.program import program
from sgenet.errors import UserError

# Stages are imported where they are called: starting the command line must not load PyTorch,
# Ray or MLflow for a stage that needs none of them.


def index(settings: Settings, dataset: str) -> None:
    """List and hash the raw samples of a dataset."""
    from pipelines.stages import index as stage

    stage.run(settings.data[dataset], DatasetPaths(dataset).sources, needed=settings.splits_of(dataset))


def shards(settings: Settings, dataset: str) -> None:
    """Turn the raw samples into tar shards with an index."""
    from pipelines.stages import shards as stage

    paths = DatasetPaths(dataset)
    stage.run(settings.data[dataset], paths.sources, paths.shards)


def masks(settings: Settings, dataset: str) -> None:
    """Draw the fixed evaluation masks."""
    from pipelines.stages import masks as stage

    paths = DatasetPaths(dataset)
    stage.run(settings.masks[dataset], settings.evaluation, settings.data[dataset], paths.shards, paths.masks)


def fit_segmenter(settings: Settings, dataset: str) -> None:
    """Fit a segmenter for automatic labels or for scores, if the settings ask for one."""
    from pipelines.stages import fit_segmenter as stage

    paths = DatasetPaths(dataset)
    stage.run(settings, dataset, paths.shards, paths.segmenter)


def label(settings: Settings, dataset: str) -> None:
    """Label all shards with that segmenter; nothing to do where people labelled the dataset."""
    from pipelines.stages import label as stage

    paths = DatasetPaths(dataset)
    stage.run(settings, dataset, paths.shards, paths.segmenter, paths.labels)


def baselines(settings: Settings, dataset: str) -> None:
    """Score the methods that need no training."""
    from pipelines.stages import baselines as stage

    paths = DatasetPaths(dataset)
    stage.run(settings, dataset, paths.shards, paths.masks, paths.segmenter, paths.baselines)


def train(settings: Settings, dataset: str, method: str) -> None:
    """Train a method on a dataset; resumes an interrupted one."""
    if settings.run.max_workers:
        ask_addressed_cluster()
    from pipelines.stages import train as stage
    from pipelines.training.inputs import fetch_dataset

    paths = DatasetPaths(dataset)
    labels = fetch_dataset(settings, paths)
    stage.run(settings, dataset, method, paths.shards, paths.masks, RunPaths(dataset, method).model, labels)


def dry_run(settings: Settings, dataset: str, method: str) -> None:
    """Do everything a training does before its first step, print what it would take, and stop."""
    if settings.run.max_workers:
        ask_addressed_cluster()
    from pipelines.stages import train as stage
    from pipelines.training.dry_run import dry_run as lines
    from pipelines.training.inputs import fetch_dataset, with_published_paths
    from pipelines.training.segmenter_cost import fitting_ahead

    paths = DatasetPaths(dataset)
    if not paths.segmenter.exists() and (ahead := fitting_ahead(settings, dataset)):
        print(ahead)
    labels = fetch_dataset(settings, paths)
    digests = stage.read_digests(paths.shards, paths.masks, labels)
    job = stage.plan(settings, dataset, method, paths.shards, paths.masks, digests, labels)
    print("\n".join(lines(with_published_paths(job, settings.storage, paths.published), settings.run, paths.shards)))


def evaluate(settings: Settings, dataset: str, method: str) -> None:
    """Score a trained method; on a dataset of ``transfer``, the one trained on another dataset."""
    from pipelines.stages import evaluate as stage

    data, model = DatasetPaths(dataset), RunPaths(settings.models_of(dataset), method).model
    run = RunPaths(dataset, method)
    stage.run(settings, dataset, method, data.shards, data.masks, data.segmenter, model, run.evaluation, run.headline)


def register(settings: Settings, dataset: str, method: str) -> None:
    """Register a trained method as the model's candidate."""
    from pipelines.stages import register as stage

    run = RunPaths(dataset, method)
    stage.run(settings, dataset, method, run.model, run.evaluation, run.registered)


def report(settings: Settings) -> None:
    """Write the report over all datasets and methods, and print its main table."""
    from pipelines.stages import report as stage

    stage.run(settings, REPORT)


DATASET_STAGES: dict[str, Callable[[Settings, str], None]] = {
    "index": index,
    "shards": shards,
    "masks": masks,
    "fit_segmenter": fit_segmenter,
    "label": label,
    "baselines": baselines,
}
TRANSFER_STAGES = {"index", "shards", "masks", "baselines", "evaluate"}
"""Also for a dataset that is filled by the models of another one."""

METHOD_STAGES: dict[str, Callable[[Settings, str, str], None]] = {
    "train": train,
    "evaluate": evaluate,
    "register": register,
}

RESUMABLE = {*DATASET_STAGES, *METHOD_STAGES, "tune", "inpaint"}
"""Commands that keep what is done when they are interrupted, or run again from their beginning."""

RENAMED = {"floors": "baselines"}
"""Commands under the names they used to have: refused, with a hint."""


_REFUSED_BY_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.ENOTDIR)
"""What a user can mend, wherever it is met."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/")
"""``s3://bucket/a`` as a path, which has lost a slash."""

TOOLS: dict[str, Command] = {
    "init": init,
    "check": check,
    "example": example,
    "inpaint": inpaint,
    "app": app,
    "serve": serve,
    "publish": publish,
    "tune": tune,
    "promote": promote,
    "rollback": rollback,
    "history": history,
    "export": export,
    "ship": ship,
    "study": study,
    "ui": ui,
}
"""Commands that are no stage of ``dvc.yaml``, each a module of :mod:`pipelines.commands`."""


def run(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    (parser, commands), given = _parsers(), sys.argv[1:] if arguments is None else arguments
    if not given:
        parser.print_help()
        return 2
    _refuse_unknown(given[0], parser)
    options, unknown = parser.parse_known_args(given)
    if unknown:
        commands[options.command].error(f"unrecognized arguments: {shlex.join(unknown)}")
    for value in vars(options).values():
        # Else it would be a folder called `s3:` on this machine.
        if isinstance(value, Path) and _ADDRESS.match(str(value)):
            parser.error(f"{value} is an address, and {options.command} needs a file or folder of this machine")
    try:
        return _dispatch(options)
    except UserError as error:
        separator = "\n" if "\n" in str(error) else " "
        print(f"error:{separator}{error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in _REFUSED_BY_THE_DISK:
            raise
        place = f"{error.filename}: " if error.filename else ""
        print(
            f"error: {place}{error.strerror}; free some space, correct its permissions, or choose another place",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt as interrupted:
        reason = str(interrupted) or "interrupted"
        if options.command in RESUMABLE:
            reason += f"; to resume: {program()} {shlex.join(given)}"
        print(reason, file=sys.stderr)
        return 130


def _refuse_unknown(command: str, parser: argparse.ArgumentParser) -> None:
    """Say what a command that there is not may have been meant to be."""
    known = [*DATASET_STAGES, *METHOD_STAGES, "report", *TOOLS]
    if command in RENAMED:
        parser.error(f"the command {command} is now called {RENAMED[command]}")
    if command.startswith("-") or command in known:
        return
    close = closest(command, known)
    hint = f"did you mean {close}?" if close else f"`{parser.prog} --help` lists all"
    parser.error(f"there is no command '{command}'; {hint}")


def _dispatch(options: argparse.Namespace) -> int:
    command: str = options.command
    if command in TOOLS:
        return TOOLS[command].execute(options) or 0
    settings = load(options.params)
    if command == "report":
        report(settings)
        return 0
    check_dataset(settings, options.dataset, trained_on=command not in TRANSFER_STAGES)
    if command in DATASET_STAGES:
        DATASET_STAGES[command](settings, options.dataset)
    else:
        method = options.method or settings.registry.method
        check_method(settings, method)
        function = dry_run if command == "train" and options.dry_run else METHOD_STAGES[command]
        function(settings, options.dataset, method)
    return 0


GROUPS: dict[str, tuple[str, ...]] = {
    "Use a model": ("inpaint", "app", "serve", "export", "example"),
    "Train your own": ("init", "check", "train", "tune", "publish"),
    "Stages of `dvc repro`": ("index", "shards", "fit_segmenter", "label", "masks", "baselines", "evaluate", "report"),
    "Compare and release": ("ui", "study", "register", "promote", "rollback", "history", "ship"),
}
"""The commands by what a person is doing."""


def _parsers() -> tuple[argparse.ArgumentParser, Mapping[str, argparse.ArgumentParser]]:
    """That of the program, and those of its commands."""
    parser = argparse.ArgumentParser(
        prog=program(),
        usage="%(prog)s COMMAND …",
        description=_overview(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="COMMAND --help says more. What trains and releases runs in a folder with params.yaml, such as the "
        "repository's.",
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", help=argparse.SUPPRESS, prog=parser.prog
    )
    for name, function in (DATASET_STAGES | METHOD_STAGES).items():
        command = commands.add_parser(name, description=_described(function))
        add_params(command)
        command.add_argument("--dataset", required=True, help="a name in datasets of params.yaml")
        if name in METHOD_STAGES:
            command.add_argument("--method", help="a name in methods of params.yaml (default: registry.method)")
        if name == "train":
            command.add_argument("--dry-run", action="store_true", help="stop before the first step: sizes and memory")
    add_params(commands.add_parser("report", description=_described(report)))
    for name, tool in TOOLS.items():
        tool.add_arguments(commands.add_parser(name, description=tool.HELP))
    return parser, commands.choices


def _overview() -> str:
    """Every command under its group, a line each."""
    stages: dict[str, Callable[..., None]] = {**DATASET_STAGES, **METHOD_STAGES, "report": report}
    summaries = {name: _described(function).split("\n")[0] for name, function in stages.items()}
    summaries |= {name: tool.HELP for name, tool in TOOLS.items()}
    lines = ["SGE-Net: fill holes in photographs of mixed scenes; train, compare and release such models."]
    for title, names in GROUPS.items():
        lines += ["", title, *(f"  {name:14}{summaries[name]}" for name in names if name in summaries)]
    return "\n".join(lines)


def _described(function: Callable[..., None]) -> str:
    return (function.__doc__ or "").replace("``", "`")
