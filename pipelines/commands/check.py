"""``python -m pipelines check``: read the settings, list the images, look at some labels, and report
every problem."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.commands.common import add_params
from pipelines.parallel.parallel import cluster_is_addressed
from pipelines.settings.layout import DatasetPaths
from pipelines.settings.load import load
from pipelines.settings.params import DataSettings, Settings
from pipelines.settings.sources import FileSource
from sgenet.errors import DataError, SettingsError, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelines.data.adapters.files import Adapter
    from pipelines.data.adapters.samples import RawSample

HELP = "Check params.yaml: every problem, how the images are split, how long labelling them takes."

_LABELS_READ = 50
"""Of each dataset, spread over its samples: enough to meet every common id, and read in about a second."""

_NOT_HERE = "not read here"

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
    problems, lines = _images(settings)
    if problems:
        raise SettingsError([f"{options.params}: {problem}" for problem in problems])
    lines += _start_lines(settings)
    if settings.run.use_gpu and not cluster_is_addressed():
        # Imports PyTorch, which takes seconds.
        from pipelines.parallel.device import gpu_problem

        if (missing := gpu_problem()) is not None:
            lines.append(f"run.use_gpu: {missing}, or run on another machine")
    if any(settings.labels_of(dataset).needs_segmenter for dataset in settings.datasets):
        from pipelines.training.segmenter_cost import fitting_ahead

        lines += filter(None, (fitting_ahead(settings, dataset) for dataset in settings.datasets))
    verdict = "no problem found in the settings"
    if any(_NOT_HERE in line for line in lines):
        verdict += "; what is not on this machine (above) was not checked"
    print("\n".join([*lines, f"{options.params}: {verdict}"]))


def _images(settings: Settings) -> tuple[list[str], list[str]]:
    """What is wrong with the images, and how many each split has, of the datasets that lie on this machine."""
    from pipelines.data.adapters.build import build_adapters, empty_splits

    problems: list[str] = []
    lines: list[str] = []
    for dataset in settings.evaluated:
        data = settings.data[dataset]
        if any(isinstance(source, FileSource) and "://" in source.root for source in data.sources):
            continue
        try:
            sources = [
                (source, adapter, adapter.samples())
                for source, (_, adapter) in zip(data.sources, build_adapters(data), strict=True)
            ]
        except UserError as error:
            # The images may lie on the machine that prepares them.
            lines.append(f"{dataset}: images {_NOT_HERE}: {error}")
            continue
        counts = Counter(sample.split for _, _, samples in sources for sample in samples)
        problems += [
            f"data.{dataset}: {problem}" for problem in empty_splits(counts, settings.splits_of(dataset), data)
        ]
        for source, adapter, samples in sources:
            if isinstance(source, FileSource) and (refused := _refused_labels(adapter, samples, data)):
                problems.append(f"data.{dataset}: {refused}")
        lines.append(f"{dataset}: " + ", ".join(f"{number:,} {split}" for split, number in sorted(counts.items())))
        evaluated = counts[settings.evaluation.split]
        if 0 < evaluated < _FEW:
            lines[-1] += f"; {evaluated} are few to compare methods by: raise val_ratio in data.{dataset}.sources"
        if (changed := _changed_since(DatasetPaths(dataset).sources, sum(counts.values()))) is not None:
            lines.append(changed)
    return problems, lines


def _start_lines(settings: Settings) -> list[str]:
    """What is wrong with the models that trainings start from; they may be in the registry of another machine."""
    from pipelines.tracking.model_source import find_model

    lines = []
    for dataset in settings.datasets:
        start = settings.recipes[dataset].start_from
        if start != "none":
            try:
                find_model(start)
            except UserError as error:
                lines.append(f"recipes.{dataset}.start_from: {_NOT_HERE}: {error}")
    return lines


def _refused_labels(adapter: Adapter, samples: Sequence[RawSample], data: DataSettings) -> str | None:
    """Why the stage ``shards`` would stop, where it would refuse too many of some of a source's label maps."""
    from pipelines.data.shards.decode_raw import decode_ids

    labelled = [sample for sample in samples if sample.label_path is not None]
    looked_at = labelled[:: -(-len(labelled) // _LABELS_READ) or 1]
    refused = []
    for sample in looked_at:
        try:
            adapter.map_label(decode_ids(adapter.read_label(sample) or b""))
        except (DataError, OSError) as error:
            refused.append(f"the label map {sample.label_path}: {error}")
    if len(refused) <= data.max_quarantine_ratio * len(looked_at):
        return None
    more = f" (as in {len(refused)} of {len(looked_at)} label maps looked at)" if len(refused) > 1 else ""
    return f"{refused[0]}{more}"


def _changed_since(listing: Path, found: int) -> str | None:
    """What to do where the index stage listed another number of images: DVC takes raw folders as immutable."""
    if not listing.exists():
        return None
    import pyarrow.parquet as pq

    listed = pq.read_metadata(listing).num_rows
    if listed == found:
        return None
    return f"  {listing} lists {listed:,} images, not {found:,}: `dvc repro --force index` reads the folders again"
