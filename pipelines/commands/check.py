"""``python -m pipelines check``: read the settings, list the images, and report every problem."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.commands.common import add_params
from pipelines.settings.layout import DatasetPaths
from pipelines.settings.load import load
from pipelines.settings.params import Settings
from pipelines.settings.sources import FileSource
from sgenet.errors import SettingsError, UserError

HELP = "Check params.yaml: every problem, how the images are split, how long labelling them takes."

_FEW = 8
"""With fewer images to evaluate on, methods can hardly be told apart."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``--params``."""
    add_params(parser)


def execute(options: argparse.Namespace) -> None:
    """Read the settings and list the images that lie on this machine; what is wrong with them is raised.

    Raises:
        SettingsError: naming every problem.
    """
    settings = load(options.params)
    problems, lines = _splits(settings)
    if problems:
        raise SettingsError([f"{options.params}: {problem}" for problem in problems])
    if any(settings.labels_of(dataset).needs_segmenter for dataset in settings.datasets):
        # Imports PyTorch, which takes seconds.
        from pipelines.training.segmenter_cost import fitting_ahead

        lines += filter(None, (fitting_ahead(settings, dataset) for dataset in settings.datasets))
    print("\n".join([*lines, f"{options.params}: no problem found in the settings"]))


def _splits(settings: Settings) -> tuple[list[str], list[str]]:
    """What is wrong with the splits, and how many images each has, of the datasets that lie on this machine."""
    from pipelines.data.adapters.splits import count_splits, empty_splits

    problems: list[str] = []
    lines: list[str] = []
    for dataset in settings.evaluated:
        data = settings.data[dataset]
        if any(isinstance(source, FileSource) and "://" in source.root for source in data.sources):
            continue
        try:
            counts = count_splits(data)
        except UserError as error:
            # The images may lie on the machine that prepares them.
            lines.append(f"{dataset}: images not read here: {error}")
            continue
        problems += [
            f"data.{dataset}: {problem}" for problem in empty_splits(counts, settings.splits_of(dataset), data)
        ]
        lines.append(f"{dataset}: " + ", ".join(f"{number:,} {split}" for split, number in sorted(counts.items())))
        evaluated = counts[settings.evaluation.split]
        if 0 < evaluated < _FEW:
            lines[-1] += f"; {evaluated} are few to compare methods by: raise val_ratio in data.{dataset}.sources"
        if (changed := _changed_since(DatasetPaths(dataset).sources, sum(counts.values()))) is not None:
            lines.append(changed)
    return problems, lines


def _changed_since(listing: Path, found: int) -> str | None:
    """What to do where the index stage listed another number of images: DVC takes raw folders as immutable."""
    if not listing.exists():
        return None
    import pyarrow.parquet as pq

    listed = pq.read_metadata(listing).num_rows
    if listed == found:
        return None
    return f"  {listing} lists {listed:,} images, not {found:,}: `dvc repro --force index` reads the folders again"
