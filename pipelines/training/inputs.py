"""What a training reads, where its workers can read it: in local folders, or published under an ``s3://`` address."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipelines.data.evaluation_masks import EvaluationMasks, load_evaluation_masks
from pipelines.data.published import fetch_files, publish_files
from pipelines.data.shards.ahead import WindowsAhead
from pipelines.data.shards.index import open_index
from pipelines.data.shards.labels import read_label_manifest, with_automatic_labels
from pipelines.data.shards.manifest import read_manifest
from pipelines.data.shards.publish import (
    PublishedShards,
    open_published,
    publish_labels,
    publish_shards,
    published_labels,
    published_shards,
    with_published_labels,
)
from pipelines.data.shards.schema import SampleTable
from pipelines.parallel.parallel import cluster_is_addressed
from pipelines.settings.layout import DatasetPaths
from pipelines.settings.params import Settings
from pipelines.settings.program import program
from pipelines.storage.files import digest_files, reading, write_atomically
from pipelines.storage.store import Storage, open_storage
from pipelines.training.job import TrainingJob
from pipelines.training.published_weights import publish_weights
from sgenet.errors import DataError
from sgenet.settings import HoleSettings

_MASKS = "masks"


def publish_for_workers(job: TrainingJob, root: str) -> TrainingJob:
    """Publish what a training reads, if the storage is an ``s3://`` address; what is there already is not sent again.

    Returns:
        The job with the paths there in place of the local folders; the job as it is where the storage is a folder.

    Raises:
        DataError: the data are not what was prepared, or the storage cannot be used.
    """
    if "://" not in root:
        return job
    storage = open_storage(root)
    return replace(
        job,
        recipe=publish_weights(job.method, job.recipe, storage),
        published=root,
        shards=publish_shards(Path(job.shards), storage),
        masks=None if job.masks is None else _publish_evaluation_masks(Path(job.masks), storage),
        labels=None if job.labels is None else publish_labels(Path(job.labels), storage),
        holes=tuple(_publish_hole(hole, storage) for hole in job.holes),
    )


@dataclass(frozen=True)
class PublishedPaths:
    """Where the shards and evaluation masks of a dataset lie in a storage: paths that hold their hashes.

    Attributes:
        labels: automatic ones, where inpainting is trained with such.
    """

    shards: str
    masks: str
    labels: str | None = None

    def write(self, path: Path) -> None:
        """Keep it in a small file, which a job can take along in place of the data."""
        write_atomically(path, (json.dumps(asdict(self), indent=2) + "\n").encode())

    @classmethod
    def read(cls, path: Path) -> PublishedPaths:
        """Read such a file.

        Raises:
            DataError: it is damaged.
        """
        with reading(path, "run the command publish"):
            return cls(**json.loads(path.read_text(encoding="utf-8")))


def publish_dataset(storage: Storage, shards: Path, masks: Path, labels: Path | None = None) -> PublishedPaths:
    """Publish a dataset's shards, evaluation masks and automatic labels; what is there already is not sent again.

    Raises:
        DataError: the data are not what was prepared, or the storage cannot be used.
    """
    return PublishedPaths(
        publish_shards(shards, storage),
        _publish_evaluation_masks(masks, storage),
        None if labels is None else publish_labels(labels, storage),
    )


def fetch_dataset(settings: Settings, paths: DatasetPaths) -> Path | None:
    """Download what a training's driver needs, if the data are published and not on this machine.

    That is the index, the manifests, the masks and automatic labels; workers read the shards themselves.

    Returns:
        The folder of automatic labels; None where inpainting is trained with people's labels.

    Raises:
        DataError: nothing was prepared or published, what was is gone, or the storage or the disk cannot be used.
    """
    root, labels = settings.storage, settings.labels_of(paths.dataset).automatic(paths.labels)
    if paths.shards.exists():
        return labels
    remote = "://" in root
    published = remote and paths.published.exists()
    if not published:
        if cluster_is_addressed():
            first = "" if remote else f"set storage to s3://BUCKET/PREFIX (it is {root}), "
            raise DataError(
                f"{paths.shards} is not here and {paths.published} lists nothing published: {first}prepare the data "
                f"(`dvc repro masks`) and run `{program()} publish --dataset {paths.dataset}` before a job is "
                "submitted"
            )
        stages = "masks" if labels is None else "masks label"
        raise DataError(f"{paths.shards} does not exist: there are no data to train on yet; run `dvc repro {stages}`")
    there, storage = PublishedPaths.read(paths.published), open_storage(root)
    if labels is not None:
        if there.labels is None:
            raise DataError(
                f"{paths.published} names no automatic labels; run the command publish again where they were made"
            )
        fetch_files(storage, there.labels, labels)
    fetch_files(storage, there.masks, paths.masks)
    fetch_files(storage, there.shards, paths.shards)
    return labels


def with_published_paths(job: TrainingJob, root: str, note: Path) -> TrainingJob:
    """The job with the paths in the storage, as :func:`publish_for_workers` gives it; nothing is sent.

    Args:
        note: what :meth:`PublishedPaths.write` wrote. Where it is missing or names other data, the job stays as it is.
    """
    if "://" not in root or not note.exists() or any(hole.path is not None for hole in job.holes):
        return job
    there = PublishedPaths.read(note)
    if there.shards != published_shards(read_manifest(Path(job.shards))):
        return job
    masks, labels = job.masks, job.labels
    if masks is not None:
        if there.masks != _published_masks(load_evaluation_masks(Path(masks)).digest):
            return job
        masks = there.masks
    if labels is not None:
        if there.labels != published_labels(read_label_manifest(Path(labels))):
            return job
        labels = there.labels
    return replace(job, published=root, shards=there.shards, masks=masks, labels=labels)


@dataclass
class Inputs:
    """A training's inputs, opened by a worker.

    Attributes:
        table: the samples of all splits.
        masks: the fixed evaluation masks; None for a segmenter.
        holes: how training holes are drawn, with local paths.
        shards: reads published shards; None where the shards lie in the table's folder.
        ahead: prefetches published shards to this node; None until training starts.
    """

    table: SampleTable
    masks: EvaluationMasks | None
    holes: tuple[HoleSettings, ...]
    shards: PublishedShards | None = None
    ahead: WindowsAhead | None = None

    def close(self) -> None:
        """End the work in the background."""
        if self.ahead is not None:
            self.ahead.close()


def open_inputs(job: TrainingJob) -> Inputs:
    """Open what a training reads, on any node.

    Raises:
        DataError: something is missing or damaged, or the storage or the disk cannot be used.
    """
    if job.published is None:
        masks = None if job.masks is None else load_evaluation_masks(Path(job.masks))
        table = open_index(Path(job.shards))
        if job.labels is not None:
            table = with_automatic_labels(table, Path(job.labels), job.label_source)
        return Inputs(table, masks, job.holes)
    storage, cache = open_storage(job.published), Path(job.cache.folder).expanduser()

    def local(path: str) -> Path:
        fetch_files(storage, path, cache / path)
        return cache / path

    masks = None if job.masks is None else load_evaluation_masks(local(job.masks))
    holes = tuple(hole if hole.path is None else replace(hole, path=str(local(hole.path))) for hole in job.holes)
    table, shards = open_published(storage, job.shards, cache)
    if job.labels is not None:
        table = with_published_labels(table, storage, job.labels, job.label_source, cache)
    return Inputs(table, masks, holes, shards)


def _publish_hole(hole: HoleSettings, storage: Storage) -> HoleSettings:
    if hole.path is None:
        return hole
    folder = Path(hole.path)
    digest = digest_files((path for path in folder.rglob("*") if path.is_file()), folder)
    return replace(hole, path=_publish_masks(folder, digest, storage))


def _publish_evaluation_masks(folder: Path, storage: Storage) -> str:
    loaded = load_evaluation_masks(folder)
    return _publish_masks(loaded.folder, loaded.digest, storage)


def _published_masks(digest: str) -> str:
    return f"{_MASKS}/{digest}"


def _publish_masks(folder: Path, digest: str, storage: Storage) -> str:
    path = _published_masks(digest)
    names = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    publish_files(folder, names, storage, path)
    return path
