"""The model that ships with the package: small, trained by this repository on its own landscapes, with a card."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from safetensors.torch import load_file, save

from pipelines.data.shards.manifest import read_manifest
from pipelines.evaluation.files import check_same_weights
from pipelines.report.collect import DatasetResults, MethodResult, collect_dataset
from pipelines.report.formats import to_markdown
from pipelines.report.tables import headline
from pipelines.settings.layout import DatasetPaths, RunPaths
from pipelines.settings.params import Settings
from pipelines.storage.files import sha256_of_file, write_atomically
from sgenet.errors import CheckpointError
from sgenet.methods.files import DESCRIPTION, WEIGHTS

SHIPPED = Path(__file__).parent / "shipped"
"""Where the package keeps it: ``model.safetensors``, ``model.json``, its card ``README.md``, its ``params.yaml``."""

MOST_BYTES = 16 << 20
"""A larger model does not ship: everyone who clones the repository carries it."""


def ship(settings: Settings, dataset: str, method: str, params: Path, output: Path) -> None:
    """Copy a model that was trained and evaluated with these settings, and write its card from what is known of it.

    Args:
        params: the file the settings came from; the card holds its content.
        output: folder; the card is written last.

    Raises:
        CheckpointError: the model is not trained or evaluated yet, its scores are of other weights, or it is larger
            than :data:`MOST_BYTES` in half precision too.
        DataError: scores of the dataset's methods do not belong together, or its shards are unfinished.
    """
    paths = RunPaths(dataset, method)
    for path in (paths.model / WEIGHTS, paths.model / "training.json", paths.evaluation / "metrics.json"):
        if not path.exists():
            raise CheckpointError(f"{path} does not exist; run the train and evaluate stages of {dataset}/{method}")
    weights = paths.model / WEIGHTS
    size = weights.stat().st_size
    if size > 2 * MOST_BYTES:
        raise CheckpointError(
            f"{weights} has {size / 2**20:.1f} MiB, but a shipped model may have {MOST_BYTES >> 20}, or twice that "
            "before its weights are rounded to half precision; train one with smaller network.widths"
        )
    results = collect_dataset(settings, dataset)
    content = _in_half_precision(weights) if size > MOST_BYTES else weights.read_bytes()
    card = render_card(settings, results, method, params, weights, content)
    write_atomically(output / weights.name, content)
    write_atomically(output / DESCRIPTION, (paths.model / DESCRIPTION).read_bytes())
    write_atomically(output / "README.md", card.encode())


class _WithoutAliases(yaml.SafeDumper):
    """Writes out what YAML merges."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never."""
        return True


def _in_half_precision(weights: Path) -> bytes:
    """A file of weights with its float32 rounded to float16; loading gives float32 again."""
    tensors = load_file(weights)
    return save({name: value.half() if value.dtype == torch.float32 else value for name, value in tensors.items()})


def render_card(
    settings: Settings, results: DatasetResults, method: str, params: Path, weights: Path, content: bytes
) -> str:
    """The model card, Markdown: every number read from the files of the run; ``content`` is the file that ships."""
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
        settings=yaml.dump(recipe, Dumper=_WithoutAliases, sort_keys=False, default_flow_style=None, width=110),
        facts=result.training.facts,
        crop=settings.data[results.name].crop,
        started=_started(settings, result),
        size_mib=len(content) / 2**20,
        is_half=len(content) < weights.stat().st_size,
        sha256=hashlib.sha256(content).hexdigest(),
        classes=_classes(result),
        num_training_images=read_manifest(DatasetPaths(results.name).shards).splits["train"].written,
        held_out=[_held_out(scored, method) for scored in _scored(settings, results)],
    )


def _started(settings: Settings, result: MethodResult) -> dict[str, Any] | None:
    """The training that this one started from, where it is one of these settings."""
    assert result.training is not None
    start = result.training.facts.get("start_from")
    for dataset in settings.datasets:
        path = RunPaths(dataset, result.name).model
        if start and (path / WEIGHTS).exists() and sha256_of_file(path / WEIGHTS) == start["sha256"]:
            facts = json.loads((path / "training.json").read_text(encoding="utf-8"))
            return {"crop": settings.data[dataset].crop, "facts": facts}
    return None


def _scored(settings: Settings, results: DatasetResults) -> list[DatasetResults]:
    """The dataset's own results, and those of the datasets that its models fill and that were evaluated."""
    transferred = [pair.dataset for pair in settings.transfer if pair.models_of == results.name]
    return [
        results,
        *(collect_dataset(settings, name) for name in transferred if DatasetPaths(name).baselines.exists()),
    ]


def _held_out(results: DatasetResults, method: str) -> dict[str, Any]:
    result = results.method(method)
    assert result is not None, "the caller has checked that the method was evaluated"
    return {
        "name": results.name,
        "count": int(result.metrics[results.sets[0]]["num_images"]),
        "tables": [to_markdown(headline(results, name)) for name in results.sets],
    }


def _classes(result: MethodResult) -> list[Any]:
    description = json.loads((RunPaths(result.summary["dataset"], result.name).model / DESCRIPTION).read_text())
    return list(description["label_space"]["names"])
