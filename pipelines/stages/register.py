"""Stage ``register``: from an evaluated model to a version in the registry, verified, with its evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipelines.evaluation.files import check_same_weights
from pipelines.registry.register import register
from pipelines.settings.params import Settings
from pipelines.storage.files import write_atomically
from pipelines.tracking.address import tracking_uri, without_secrets
from pipelines.tracking.runs import RunLogger, restored_run
from sgenet.errors import CheckpointError


def run(settings: Settings, dataset: str, method: str, model: Path, evaluation: Path, output: Path) -> None:
    """Register a model as ``<registry.name>-<dataset>`` with the alias ``candidate``.

    The evaluation's metrics are logged to the training's run, as ``evaluation/<mask set>/<score>``.

    Args:
        settings: the whole of ``params.yaml``.
        dataset, method: which of them.
        model: folder that the stage ``train`` wrote.
        evaluation: folder that the stage ``evaluate`` wrote.
        output: ``registered.json``, written last: when it is there, the model has been loaded back
            from the registry and drew the same picture.

    Raises:
        CheckpointError: a file of these folders is missing or damaged, or the evaluation is of other weights.
        TrackingError: the tracking store cannot be used.
    """
    training = _read(model / "training.json", "run_id", "run_key", "steps", "digests")
    summary = _read(evaluation / "evaluation.json", "shards_digest", "masks_digest", "code_digest", "weights_sha256")
    scores = _read(evaluation / "metrics.json")
    check_same_weights(evaluation, summary["weights_sha256"], model / "model.safetensors")
    metrics = _flat(scores)
    run_id = restored_run(training["run_id"], dataset, training["run_key"], f"{dataset}/{method}")
    with RunLogger(run_id) as logger:
        logger.results({f"evaluation/{key}": value for key, value in metrics.items()}, training["steps"])
        logger.dict(scores, "evaluation/metrics.json")
    version = register(
        model,
        f"{settings.registry.name}-{dataset}",
        run_id,
        metrics,
        step=training["steps"],
        tags={
            "sgenet.dataset": dataset,
            "sgenet.method": method,
            "sgenet.run_key": training["run_key"],
            "sgenet.evaluation.shards": summary["shards_digest"],
            "sgenet.evaluation.masks": summary["masks_digest"],
            "sgenet.evaluation.code": summary["code_digest"],
            **{f"sgenet.training.{name}": digest for name, digest in training["digests"].items()},
        },
        side=settings.recipes[dataset].network.image_size,
        evaluation=evaluation,
    )
    content = {
        "name": version.name,
        "version": version.version,
        "alias": version.alias,
        "uri": version.uri,
        "run_id": run_id,
        "tracking_uri": without_secrets(tracking_uri()),
        "weights_sha256": version.weights_sha256,
        "verified": True,
    }
    write_atomically(output, (json.dumps(content, indent=2, sort_keys=True) + "\n").encode())
    print(f"registered {version.uri} as {version.alias}; loaded back, it draws the same picture")


def _read(path: Path, *keys: str) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); run the stage that writes it again") from error
    missing = [key for key in keys if key not in content]
    if missing:
        raise CheckpointError(f"{path} has no {', '.join(missing)}; run the stage that writes it again")
    return content


def _flat(metrics: dict[str, dict[str, float]]) -> dict[str, float]:
    """``{set: {score: value}}`` → ``{"set/score": value}``."""
    return {f"{mask_set}/{score}": value for mask_set, scores in metrics.items() for score, value in scores.items()}
