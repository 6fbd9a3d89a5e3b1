"""The model that ships with the package: small, trained by this repository on its own landscapes, with a card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from pipelines.data.shards.manifest import read_manifest
from pipelines.evaluation.files import check_same_weights
from pipelines.evaluation.pictures import FIGURES_FOLDER
from pipelines.report.collect import DatasetResults, MethodResult, collect_dataset
from pipelines.report.formats import to_markdown
from pipelines.report.tables import headline
from pipelines.settings.layout import DatasetPaths, RunPaths
from pipelines.settings.params import Settings
from pipelines.storage.files import sha256_of_file, write_atomically
from sgenet.errors import CheckpointError

SHIPPED = Path(__file__).parent / "shipped"
"""Where the package keeps it: ``model.safetensors``, ``model.json``, its card ``README.md`` and one picture."""

MOST_BYTES = 16 << 20
"""A larger model does not ship: everyone who clones the repository carries it."""

_FILES = ("model.safetensors", "model.json")


def ship(settings: Settings, dataset: str, method: str, params: Path, output: Path) -> None:
    """Copy a model that was trained and evaluated with these settings, and write its card from what is known of it.

    Args:
        settings: of the whole pipeline.
        dataset, method: which pair ships.
        params: the file the settings came from; the card holds its content.
        output: folder; the card is written last.

    Raises:
        CheckpointError: the model is not trained or evaluated yet, its scores are of other weights, or it is larger
            than :data:`MOST_BYTES`.
        DataError: scores of the dataset's methods do not belong together, or its shards are unfinished.
    """
    paths = RunPaths(dataset, method)
    for path in (paths.model / "model.safetensors", paths.model / "training.json", paths.evaluation / "metrics.json"):
        if not path.exists():
            raise CheckpointError(f"{path} does not exist; run the train and evaluate stages of {dataset}/{method}")
    weights = paths.model / "model.safetensors"
    if weights.stat().st_size > MOST_BYTES:
        raise CheckpointError(
            f"{weights} has {weights.stat().st_size / 2**20:.1f} MiB, but a shipped model may have "
            f"{MOST_BYTES >> 20}; train one with smaller network.widths"
        )
    results = collect_dataset(settings, dataset)
    card = render_card(results, method, params, weights)
    for name in _FILES:
        write_atomically(output / name, (paths.model / name).read_bytes())
    overview = paths.evaluation / FIGURES_FOLDER / f"{results.sets[0]}-overview.png"
    write_atomically(output / "examples.png", overview.read_bytes())
    write_atomically(output / "README.md", card.encode())


def render_card(results: DatasetResults, method: str, params: Path, weights: Path) -> str:
    """The model card, Markdown: every number read from the files of the run."""
    result = results.method(method)
    assert result is not None, "the caller has checked that the method was evaluated"
    assert result.training is not None
    check_same_weights(result.folder, result.summary.get("weights_sha256"), weights)
    environment = Environment(
        loader=PackageLoader("pipelines.report"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    recipe = yaml.safe_load(params.read_text(encoding="utf-8"))
    return environment.get_template("model_card.md.j2").render(
        title=result.title,
        dataset=results.name,
        method=method,
        params=params,
        settings=yaml.safe_dump(recipe, sort_keys=False, default_flow_style=None, width=110),
        facts=result.training.facts,
        size_mib=weights.stat().st_size / 2**20,
        sha256=sha256_of_file(weights),
        classes=_classes(result),
        num_training_pictures=read_manifest(DatasetPaths(results.name).shards).splits["train"].written,
        num_scored_pictures=int(result.metrics[results.sets[0]]["num_pictures"]),
        tables=[to_markdown(headline(results, name)) for name in results.sets],
    )


def _classes(result: MethodResult) -> list[Any]:
    description = json.loads((RunPaths(result.summary["dataset"], result.name).model / "model.json").read_text())
    return list(description["label_space"]["names"])
