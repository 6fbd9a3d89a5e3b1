"""What a training reads, where its workers can read it: in local folders, or published under an ``s3://`` address."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.evaluation_masks import EvaluationMasks, load_evaluation_masks
from pipelines.files import digest_files
from pipelines.published import fetch_files, publish_files
from pipelines.shards.index import open_index
from pipelines.shards.publish import PublishedShards, open_published, publish_shards
from pipelines.shards.schema import SampleTable
from pipelines.storage import Storage, open_storage
from pipelines.training.job import TrainingJob
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
    masks = load_evaluation_masks(Path(job.masks))
    return replace(
        job,
        published=root,
        shards=publish_shards(Path(job.shards), storage),
        masks=_publish_masks(masks.folder, masks.digest, storage),
        holes=tuple(_publish_hole(hole, storage) for hole in job.holes),
    )


@dataclass
class Inputs:
    """A training's inputs, opened by a worker.

    Attributes:
        table: the samples of all splits.
        masks: the fixed evaluation masks.
        holes: how training holes are drawn, with local paths.
        shards: reads published shards; None where the shards lie in the table's folder.
    """

    table: SampleTable
    masks: EvaluationMasks
    holes: tuple[HoleSettings, ...]
    shards: PublishedShards | None = None

    def keep_shards(self, say: Callable[[str], None]) -> None:
        """Bring published shards to this node in the background; see :meth:`PublishedShards.keep`."""
        if self.shards is not None:
            self.shards.keep(say)

    def close(self) -> None:
        """End the work in the background."""
        if self.shards is not None:
            self.shards.stop()


def open_inputs(job: TrainingJob) -> Inputs:
    """Open what a training reads, on any node.

    Raises:
        DataError: something is missing or damaged, or the storage or the disk cannot be used.
    """
    if job.published is None:
        return Inputs(open_index(Path(job.shards)), load_evaluation_masks(Path(job.masks)), job.holes)
    storage, cache = open_storage(job.published), Path(job.cache.folder).expanduser()

    def local(path: str) -> Path:
        fetch_files(storage, path, cache / path)
        return cache / path

    masks = load_evaluation_masks(local(job.masks))
    holes = tuple(hole if hole.path is None else replace(hole, path=str(local(hole.path))) for hole in job.holes)
    table, shards = open_published(storage, job.shards, cache, int(job.cache.gigabytes * 1e9))
    return Inputs(table, masks, holes, shards)


def _publish_hole(hole: HoleSettings, storage: Storage) -> HoleSettings:
    if hole.path is None:
        return hole
    folder = Path(hole.path)
    digest = digest_files((path for path in folder.rglob("*") if path.is_file()), folder)
    return replace(hole, path=_publish_masks(folder, digest, storage))


def _publish_masks(folder: Path, digest: str, storage: Storage) -> str:
    path = f"{_MASKS}/{digest}"
    names = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    publish_files(folder, names, storage, path)
    return path
