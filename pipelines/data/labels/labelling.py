"""Labelling all shards of a dataset, a shard at a time, each kept as soon as it is done."""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.data.labels.opened import SegmenterPlace, chosen_segmenter, open_segmenter, threads_for, whole_images
from pipelines.data.labels.report import finite, summary_sentence
from pipelines.data.shards.index import open_index, reopen_index
from pipelines.data.shards.labels import CONFIDENCE_SUFFIX, LabelManifest, sidecar_name, write_labels
from pipelines.data.shards.manifest import ShardEntry
from pipelines.data.shards.schema import LABEL_SUFFIX, SampleTable
from pipelines.data.shards.tar import ShardWriter, encode_png
from pipelines.parallel.parallel import parallel_map, workers_for
from pipelines.settings.params import Settings
from pipelines.storage.code import digest_code
from pipelines.storage.files import publish_folder
from pipelines.storage.store import Storage, absolute, join, open_storage
from sgenet.evaluation.segmenter_scores import SegmenterScores
from sgenet.label_space import IGNORE_ID
from sgenet.segmenters.segmenter import Labelled, label_pixels

_KEY_LENGTH = 16


@dataclass(frozen=True, kw_only=True)
class Labelling:
    """What every worker of a labelling is told.

    Attributes:
        shards: folder of the stage of this name, where the digest must be found.
        kept: folder or ``s3://`` address where finished shards of this labelling are kept, absolute.
    """

    place: SegmenterPlace
    shards: Path
    digest: str
    kept: str


@dataclass(frozen=True)
class LabelledShard:
    """A finished shard: its file, its rows of the labels' index, and the agreement with people's labels."""

    split: str
    entry: ShardEntry
    rows: list[dict[str, Any]]
    agreement: SegmenterScores


def label_dataset(settings: Settings, dataset: str, shards: Path, segmenter: Path, output: Path) -> None:
    """Label every sample; an interrupted labelling resumes with the shards that are not done.

    Args:
        segmenter: folder of the stage ``fit_segmenter``.
        output: see :mod:`pipelines.data.shards.labels`; appears whole.

    Raises:
        DataError: shards or segmenter are unfinished, or of other settings.
        CheckpointError: the segmenter cannot be used.
    """
    labelling = plan_labelling(settings, dataset, shards, segmenter)
    table = open_index(shards)
    done = parallel_map(
        partial(label_shard, labelling),
        table.shard_names,
        workers_for(labelling.place.device == "cuda"),
        f"labelling {dataset}",
        use_gpu=labelling.place.device == "cuda",
    )
    labels = settings.labels_of(dataset)
    with publish_folder(output) as folder:
        kept = open_storage(labelling.kept)
        agreement: dict[str, SegmenterScores] = {}
        entries, rows = [], []
        for shard in done:
            kept.download(shard.entry.name, folder / shard.entry.name)
            entries.append(shard.entry)
            rows += shard.rows
            before = agreement.get(shard.split)
            if before is None:
                agreement[shard.split] = shard.agreement
            else:
                before.extend(shard.agreement)
        described = LabelManifest(
            source=labels.source,
            shards_digest=table.digest,
            segmenter=labels.segmenter,
            segmenter_sha256=labelling.place.sha256,
            threshold=labels.threshold,
            agreement={
                split: {"images": scores.num_images, **finite(scores.summary())}
                for split, scores in agreement.items()
                if scores.num_labelled
            },
        )
        write_labels(folder, rows, described, entries)
    print(f"{output}: {len(rows):,} images labelled by {labels.segmenter}")
    for split, scores in agreement.items():
        if scores.num_labelled:
            print(f"{split}, against people's labels of {scores.num_images} images: {summary_sentence(scores)}")
            if not scores.summary()["trusted_share"] > 0:
                print(
                    f"warning: no pixel of {split} reaches labels.{dataset}.threshold, so that no automatic label is "
                    f"kept; lower it, or fit the segmenter longer (labels.{dataset}.recipe.training.steps)",
                    file=sys.stderr,
                )


def plan_labelling(settings: Settings, dataset: str, shards: Path, segmenter: Path) -> Labelling:
    """What workers are told; nothing is written.

    Raises:
        DataError: the segmenter was chosen under other settings.
        CheckpointError: it cannot be used.
    """
    place = chosen_segmenter(settings, dataset, segmenter)
    digest = open_index(shards).digest
    kept = absolute(join(settings.storage, "labels", _key(place, digest)))
    return Labelling(place=place, shards=shards, digest=digest, kept=kept)


def label_shard(labelling: Labelling, name: str) -> LabelledShard:
    """Label the samples of one shard, or find that this was done.

    The same bytes for the same segmenter, shard and settings, on one kind of device.

    Raises:
        DataError: the shards changed, or the storage or the disk cannot be used.
    """
    kept, record = open_storage(labelling.kept), f"{sidecar_name(name)}.json"
    if kept.exists(record):
        return _recorded(json.loads(kept.read(record)), labelling)
    table = reopen_index(labelling.shards, labelling.digest)
    table = table.rows(np.flatnonzero(table.shard_ids == table.shard_names.tolist().index(name)))
    scores = _no_scores(labelling)
    with tempfile.TemporaryDirectory() as folder, threads_for(labelling.place.device):
        path = Path(folder) / sidecar_name(name)
        with ShardWriter(path) as shard:
            rows = [
                _add(shard, path.name, table.keys[row], labelled, labelling.place.label_space.num_classes)
                for row, labelled in _labelled(labelling, table, scores)
            ]
        entry = ShardEntry(path.name, shard.sha256, shard.size, len(rows))
        kept.upload(path, path.name)
    finished = LabelledShard(table.split_names[table.split_ids[0]], entry, rows, scores)
    # The record last: without it, the shard is not done.
    _record(kept, record, finished)
    return finished


def _labelled(labelling: Labelling, table: SampleTable, scores: SegmenterScores) -> Iterator[tuple[int, Labelled]]:
    """The label of each sample in order; what people labelled is compared with it."""
    place = labelling.place
    segmenter = open_segmenter(place)
    for batch in whole_images(table, place.settings.batch_size):
        probabilities = segmenter.probabilities(batch.image)
        labelled = label_pixels(probabilities, place.label_space.num_classes, place.settings.threshold)
        for index, row in enumerate(batch.rows):
            if bool((batch.label[index] != IGNORE_ID).any()):
                scores.update(probabilities[index : index + 1], batch.label[index : index + 1])
            yield row, Labelled(labelled.label[index].cpu(), labelled.confidence[index].cpu())


def _add(shard: ShardWriter, name: str, key: str, labelled: Labelled, num_classes: int) -> dict[str, Any]:
    label, confidence = labelled.label.numpy(), labelled.confidence.numpy()
    members = [
        (LABEL_SUFFIX, encode_png(label)),
        (CONFIDENCE_SUFFIX, encode_png(confidence)),
    ]
    label_span, confidence_span = shard.add(key, members)
    counts = np.bincount(label.ravel(), minlength=IGNORE_ID + 1)
    return {
        "key": key,
        "shard": name,
        "label_offset": label_span.offset,
        "label_size": label_span.size,
        "confidence_offset": confidence_span.offset,
        "confidence_size": confidence_span.size,
        "class_histogram": counts[:num_classes].tolist(),
        "num_ignored": int(counts[IGNORE_ID]),
        # Of whole numbers, so that it is the same sum everywhere.
        "mean_confidence": int(confidence.sum(dtype=np.int64)) / (255 * confidence.size),
    }


def _record(kept: Storage, path: str, shard: LabelledShard) -> None:
    content = {
        "split": shard.split,
        "entry": asdict(shard.entry),
        "rows": shard.rows,
        "agreement": shard.agreement.to_numbers(),
    }
    kept.write(path, json.dumps(content).encode())


def _recorded(content: dict[str, Any], labelling: Labelling) -> LabelledShard:
    scores = _no_scores(labelling)
    scores.add_numbers(content["agreement"])
    return LabelledShard(content["split"], ShardEntry(**content["entry"]), content["rows"], scores)


def _no_scores(labelling: Labelling) -> SegmenterScores:
    return SegmenterScores(labelling.place.label_space.num_classes, labelling.place.settings.threshold)


def _key(place: SegmenterPlace, shards_digest: str) -> str:
    """Names a labelling: equal names may continue each other."""
    settings = place.settings.model_dump(mode="json", include=set(_LABELLED_BY))
    identity = {
        "segmenter": place.sha256,
        "settings": settings,
        "classes": place.label_space.names,
        "device": place.device,
        "shards": shards_digest,
        "code": digest_code(__name__),
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:_KEY_LENGTH]


_LABELLED_BY = ("segmenter", "class_map", "threshold", "window", "overlap", "batch_size", "precision")
