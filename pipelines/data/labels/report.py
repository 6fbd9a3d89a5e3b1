"""How good a segmenter is on held-out images: scored as it labels, on whole images, and written down."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.data.labels.opened import SegmenterPlace, open_segmenter, threads_for, whole_images
from pipelines.data.shards.index import open_index, reopen_index
from pipelines.data.shards.schema import SampleTable, spread
from pipelines.parallel.parallel import parallel_map, workers_for
from pipelines.storage.csv_text import csv_text
from sgenet.evaluation.segmenter_scores import SegmenterScores
from sgenet.figures import Pixels, grid, to_image
from sgenet.segmenters.segmenter import label_pixels

REPORT, CONFUSION, SHEET = "report.json", "confusion.csv", "images.png"

BLOCK_IMAGES = 32
NUM_SHOWN = 6
_TITLES = ("image", "label", "automatic", "confidence")


def held_out(shards: Path, split: str) -> SampleTable:
    """The labelled images of a split.

    Raises:
        DataError: there are none.
    """
    return open_index(shards).of_split(split).labelled()


def score_segmenter(place: SegmenterPlace, shards: Path, split: str) -> SegmenterScores:
    """Score a segmenter on the held-out images, on the cores of this machine or on a cluster.

    Raises:
        DataError: no held-out image is labelled, or the shards are unfinished.
        CheckpointError: see :func:`~pipelines.data.labels.opened.open_segmenter`.
    """
    table = held_out(shards, split)
    scores = SegmenterScores(place.label_space.num_classes, place.settings.threshold)
    for part in parallel_map(
        partial(score_block, place, shards, table.digest, split),
        range(0, len(table), BLOCK_IMAGES),
        workers=workers_for(place.device == "cuda"),
        description="scoring the segmenter",
        use_gpu=place.device == "cuda",
    ):
        scores.extend(part)
    return scores


def score_block(place: SegmenterPlace, shards: Path, digest: str, split: str, first: int) -> SegmenterScores:
    """Score :data:`BLOCK_IMAGES` held-out images from position ``first`` on, or those that are left.

    Raises:
        DataError: the digest of the shards is not that of the other blocks.
    """
    table = reopen_index(shards, digest).of_split(split).labelled()
    rows = np.arange(first, min(first + BLOCK_IMAGES, len(table)))
    scores = SegmenterScores(place.label_space.num_classes, place.settings.threshold)
    with threads_for(place.device):
        segmenter = open_segmenter(place)
        for batch in whole_images(table.rows(rows), place.settings.batch_size):
            scores.update(segmenter.probabilities(batch.image), batch.label)
    return scores


def write_report(folder: Path, scores: SegmenterScores, place: SegmenterPlace, shards: Path, split: str) -> None:
    """Write ``report.json``, ``confusion.csv`` (rows: true classes, columns: predicted ones) and ``images.png``."""
    names = place.label_space.names
    content = {
        "split": split,
        "images": scores.num_images,
        "threshold": place.settings.threshold,
        "scores": finite(scores.summary()),
        "class_iou": finite(dict(zip(names, scores.class_ious(), strict=True))),
        "calibration": scores.calibration(),
    }
    (folder / REPORT).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (folder / CONFUSION).write_text(_confusion(names, scores), encoding="utf-8")
    Image.fromarray(_sheet(place, spread(held_out(shards, split), NUM_SHOWN))).save(folder / SHEET)


def summary_sentence(scores: SegmenterScores) -> str:
    """The scores as a sentence: how good labels are, and how many pixels are confident enough to get one."""
    summary = scores.summary()
    kept = (
        f"of which {summary['trusted_pixel_accuracy']:.1%} are right"
        if summary["trusted_share"] > 0
        else "so that none would be kept"
    )
    return (
        f"mIoU {summary['miou']:.3f}, pixel accuracy {summary['pixel_accuracy']:.3f}; "
        f"{summary['trusted_share']:.1%} of the labelled pixels reach the threshold of {scores.threshold:g}, {kept}"
    )


def finite(values: dict[str, float]) -> dict[str, float | None]:
    """JSON has no NaN: what was measured on no pixel is null."""
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def _confusion(names: tuple[str, ...], scores: SegmenterScores) -> str:
    rows = ([name, *row] for name, row in zip(names, scores.confusion.tolist(), strict=True))
    return csv_text(["label", *names, "(none of them)"], rows)


def _sheet(place: SegmenterPlace, table: SampleTable) -> Pixels:
    colourise = place.label_space.colourise
    rows: list[list[Pixels | None]] = []
    with threads_for(place.device):
        segmenter = open_segmenter(place)
        for batch in whole_images(table, batch_size=1):
            labelled = label_pixels(
                segmenter.probabilities(batch.image), place.label_space.num_classes, place.settings.threshold
            )
            confidence = np.repeat(labelled.confidence[0].cpu().numpy()[..., None], 3, axis=2)
            rows.append(
                [
                    to_image(batch.image[0]),
                    colourise(batch.label[0].numpy()),
                    colourise(labelled.label[0].cpu().numpy()),
                    confidence,
                ]
            )
    return grid(rows, _TITLES)
