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
from pipelines.storage.files import digest_files, write_atomically
from pipelines.storage.store import Storage, open_storage
from pipelines.training.job import TrainingJob
from pipelines.training.published_weights import publish_weights
from sgenet.errors import DataError
from sgenet.settings import HoleSettings

_MASKS = "masks"


def publish_inputs(job: TrainingJob, root: str) -> TrainingJob:
    """Publish what a training reads below an ``s3://`` address; what is there already is not sent again.

    Returns:
        The job with the paths there in place of the local folders.

    Raises:
        DataError: the data are not what was prepared, or the storage cannot be used.
    """
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
class PublishedData:
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
    def read(cls, path: Path) -> PublishedData:
        """Read such a file.

        Raises:
            DataError: it is damaged.
        """
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{path} is damaged ({error}); run the command publish again") from error


def publish_data(storage: Storage, shards: Path, masks: Path, labels: Path | None = None) -> PublishedData:
    """Publish a dataset's shards, evaluation masks and automatic labels; what is there already is not sent again.

    Raises:
        DataError: the data are not what was prepared, or the storage cannot be used.
    """
    return PublishedData(
        publish_shards(shards, storage),
        _publish_evaluation_masks(masks, storage),
        None if labels is None else publish_labels(labels, storage),
    )


def fetch_data(root: str, note: Path, shards: Path, masks: Path, labels: Path | None = None) -> None:
    """Download what a training's driver needs, if the data are published and not on this machine.

    That is the index, the manifests and the masks; workers read the shards themselves.

    Args:
        root: the storage.
        note: what :meth:`PublishedData.write` wrote.
        shards, masks: folders that the stages of these names would have written.
        labels: the same of the stage ``label``; None where inpainting is trained with people's labels.

    Raises:
        DataError: nothing was published, what was is gone, or the storage or the disk cannot be used.
    """
    if shards.exists():
        return
    remote = "://" in root
    if cluster_is_addressed() and not (remote and note.exists()):
        first = "" if remote else f"set storage to s3://BUCKET/PREFIX (it is {root}), "
        raise DataError(
            f"{shards} is not here and {note} says of nothing published: {first}prepare the data (`dvc repro masks`) "
            f"and run `python -m pipelines publish --dataset {note.stem}` before a job is submitted"
        )
    if not (remote and note.exists()):
        return
    data, storage = PublishedData.read(note), open_storage(root)
    if labels is not None:
        if data.labels is None:
            raise DataError(f"{note} names no automatic labels; run the command publish again where they were made")
        fetch_files(storage, data.labels, labels)
    fetch_files(storage, data.masks, masks)
    fetch_files(storage, data.shards, shards)


def fetch_inputs(settings: Settings, paths: DatasetPaths) -> Path | None:
    """:func:`fetch_data` of a dataset; gives the folder of automatic labels, where they are trained with."""
    labels = settings.labels_of(paths.dataset).automatic(paths.labels)
    fetch_data(settings.storage, paths.published, paths.shards, paths.masks, labels)
    return labels


def read_published(job: TrainingJob, root: str, note: Path) -> TrainingJob:
    """The training with its data read from the storage, as on a cluster, where the same data were published."""
    if "://" not in root or not note.exists() or any(hole.path is not None for hole in job.holes):
        return job
    data = PublishedData.read(note)
    if data.shards != published_shards(read_manifest(Path(job.shards))):
        return job
    labels = job.labels
    if labels is not None:
        if data.labels != published_labels(read_label_manifest(Path(labels))):
            return job
        labels = data.labels
    return replace(job, published=root, shards=data.shards, masks=data.masks, labels=labels)


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


def _publish_masks(folder: Path, digest: str, storage: Storage) -> str:
    path = f"{_MASKS}/{digest}"
    names = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    publish_files(folder, names, storage, path)
    return path
