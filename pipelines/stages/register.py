"""Stage ``register``: from an evaluated model to a version in the registry, verified, with its evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.evaluation.files import check_same_weights, check_trained, read_record
from pipelines.registry.register import register
from pipelines.settings.params import Settings
from pipelines.storage.files import check_writable, write_atomically
from pipelines.tracking.address import check_reachable, tracking_uri, without_secrets
from pipelines.tracking.logger import RunLogger
from pipelines.tracking.model_source import CANDIDATE
from pipelines.tracking.runs import restored_run
from pipelines.tracking.scores import Scores, log_scores, to_markdown
from sgenet.methods.files import WEIGHTS


def run(settings: Settings, dataset: str, method: str, model: Path, evaluation: Path, output: Path) -> None:
    """Register a model as ``<registry.name>-<dataset>`` with the alias ``candidate``.

    The evaluation's scores are logged to the training's run, see :func:`pipelines.tracking.scores.log_scores`.

    Args:
        model, evaluation: folders of the stages ``train`` and ``evaluate``.
        output: ``registered.json``, written last: when it is there, the model has been loaded back
            from the registry and drew the same image.

    Raises:
        CheckpointError: a file of these folders is missing or damaged, or the evaluation is of other weights.
        TrackingError: the tracking store cannot be used.
    """
    # Not after a version was made.
    check_writable(output)
    check_trained(model, dataset, method)
    training = read_record(model / "training.json", "train", "run_id", "run_key", "steps", "digests")
    keys = ("shards_digest", "masks_digest", "code_digest", "weights_sha256")
    summary = read_record(evaluation / "evaluation.json", "evaluate", *keys)
    scores = read_record(evaluation / "metrics.json", "evaluate")
    check_same_weights(evaluation, summary["weights_sha256"], model / WEIGHTS)
    check_reachable(tracking_uri(), to_write=True)
    run_id = restored_run(training, method, dataset)
    with RunLogger(run_id) as logger:
        log_scores(logger, scores, training["steps"])
        overview = evaluation / "figures" / f"{next(iter(scores))}-overview.png"
        if overview.is_file():
            logger.artifact(overview, "evaluation")
    name = f"{settings.registry.name}-{dataset}"
    version = register(
        model,
        name,
        run_id,
        step=training["steps"],
        tags={"dataset": dataset, "method": method},
        digests={
            "run_key": training["run_key"],
            **{f"training.{name}": digest for name, digest in training["digests"].items()},
            **{f"evaluation.{name}": summary[f"{name}_digest"] for name in ("shards", "masks", "code")},
        },
        description=_description(dataset, method, training, scores, run_id, overview if overview.is_file() else None),
        side=settings.recipes[dataset].network.image_size,
        evaluation=evaluation,
    )
    content = {
        "name": name,
        "version": version,
        "alias": CANDIDATE,
        "uri": f"models:/{name}/{version}",
        "run_id": run_id,
        "tracking_uri": without_secrets(tracking_uri()),
        "weights_sha256": summary["weights_sha256"],
        "verified": True,
    }
    write_atomically(output, (json.dumps(content, indent=2, sort_keys=True) + "\n").encode())
    print(f"registered {content['uri']} as {CANDIDATE}; loaded from the registry, its output is the same to the bit")


def _description(
    dataset: str,
    method: str,
    training: Mapping[str, Any],
    scores: Scores,
    run_id: str,
    overview: Path | None,
) -> str:
    """What a version's page in the UI shows: its score, which the list of versions has room for, and what it draws."""
    first = next(iter(scores.values()), {})
    counted = f", evaluated on {first['num_images']:g} images" if first.get("num_images") else ""
    score = f"{first['psnr_hole']:.2f} dB in the hole: " if "psnr_hole" in first else ""
    parts = [
        f"{score}{method} trained on {dataset} for {training['steps']} steps{counted}.",
        to_markdown(scores),
    ]
    if overview is not None:
        address = f"get-artifact?path=evaluation/{overview.name}&run_uuid={run_id}"
        parts.append(f"![Examples of the evaluation]({address})")
    return "\n\n".join(parts)
