"""Filling every image of a folder: over many processes, resuming an earlier call."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from pipelines.inference.folders.manifest import FOLDER, NOT_UTF8, ManifestWriter, known_keys
from pipelines.inference.folders.places import CONFIDENCE, SEGMENTATION, Place, is_image, output_name, stem
from pipelines.inference.folders.work import BESIDE, Job, ManifestRow, Work, fill_chunk
from pipelines.parallel.cpus import usable_cpus
from pipelines.parallel.parallel import cluster_is_addressed, parallel_map
from pipelines.storage.files import check_writable
from pipelines.storage.store import open_storage
from sgenet.errors import UserError

SUMMARY = f"{FOLDER}/summary.json"
_LARGEST_CHUNK = 16
_CHUNKS_PER_WORKER = 8
_CLUSTER_WORKERS = 64  # only to divide few images evenly: how many there are, the cluster knows
_FAILURES_KEPT = 5


@dataclass
class Summary:
    """What became of all images of one call.

    Attributes:
        images: how many there were.
        done, unchanged, failed: how many of them; ``unchanged`` were done by an earlier call.
        ours: how many failed by a fault of this program.
        seconds: the whole call.
        mean_confidence: of the images done now that have one.
        warnings: how many looked wrong though they were done.
        failures, doubts: the first few that failed or looked wrong, with the reasons.
    """

    images: int
    done: int = 0
    unchanged: int = 0
    failed: int = 0
    ours: int = 0
    seconds: float = 0.0
    mean_confidence: float | None = None
    warnings: int = 0
    failures: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    _confidences: tuple[float, int] = (0.0, 0)

    def add(self, row: ManifestRow) -> None:
        """Count one image."""
        match row.status:
            case "done":
                self.done += 1
            case "unchanged":
                self.unchanged += 1
            case "failed":
                self.failed += 1
                self.ours += row.ours
                if len(self.failures) < _FAILURES_KEPT:
                    self.failures.append(f"{row.image}: {row.reason}")
        if row.warning is not None:
            self.warnings += 1
            if len(self.doubts) < _FAILURES_KEPT:
                self.doubts.append(f"{row.image}: {row.warning}")
        if row.confidence is not None:
            total, count = self._confidences
            self._confidences = total + row.confidence, count + 1
            self.mean_confidence = (total + row.confidence) / (count + 1)

    def as_json(self) -> bytes:
        """For ``summary.json``."""
        content = {key: value for key, value in asdict(self).items() if not key.startswith("_")}
        return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode("utf-8", NOT_UTF8)


def fill_folder(photos: Place, work: Work, workers: int | None = None) -> Summary:
    """Fill every image below a folder and keep the manifest; what is done already is left as it is.

    Args:
        photos: the folder.
        work: what to do with each image.
        workers: processes, or chunks under way on a cluster; None takes every GPU or core, or the whole cluster.

    Raises:
        UserError: there are no images, or a failure that every image would meet: a damaged model, a lost
            worker, a full disk.
    """
    start = time.monotonic()
    names = [entry.path for entry in photos.storage.list() if is_image(entry.path)]
    if not names:
        raise UserError(f"{photos.shown} holds no images; give an image, or a folder with some")
    output = open_storage(work.output)
    summary, manifest = Summary(len(names)), ManifestWriter(output)

    def fill_all(images: list[str], jobs: Iterator[Job]) -> list[str]:
        """Record what becomes of images; those whose recorded result is another one are left alone, and given."""
        outdated = []
        for image, row in zip(images, _fill(jobs, len(images), work, workers), strict=True):
            if row.status == "outdated":
                outdated.append(image)
                continue
            summary.add(row)
            if row.status != "unchanged":
                manifest.add(row)
        return outdated

    try:
        outdated = fill_all(names, _jobs(names, known_keys(output), work))
        if outdated:
            manifest.drop(outdated)
            fill_all(outdated, (Job(name, output_name(name)) for name in outdated))
    finally:
        # Also when interrupted: what is done is known to be done.
        manifest.flush()
    manifest.drop_superseded()
    summary.seconds = round(time.monotonic() - start, 1)
    output.write(SUMMARY, summary.as_json())
    return summary


def _fill(jobs: Iterator[Job], count: int, work: Work, workers: int | None) -> Iterator[ManifestRow]:
    """What becomes of each, in their order."""
    size = _chunk_size(count, workers)
    chunks = parallel_map(
        partial(fill_chunk, work=work),
        iter(lambda: tuple(islice(jobs, size)), ()),
        workers,
        f"inpainting, {size} at a time" if size > 1 else "inpainting",
        shared=_shared_folder(work),
        total=-(-count // size),
        use_gpu=work.device == "cuda" or (work.device.startswith("cuda") and cluster_is_addressed()),
    )
    for rows in chunks:
        yield from rows


def _jobs(names: list[str], known: Mapping[str, str], work: Work) -> Iterator[Job]:
    beside = [
        kind for kind, place in ((SEGMENTATION, work.segmentation), (CONFIDENCE, work.confidence)) if place == BESIDE
    ]
    first: dict[str, str] = {}
    for name in names:
        refusal = None
        if first.setdefault(stem(name), name) != name:
            refusal = f"{name} and {first[stem(name)]} would both become {output_name(name)}; rename one of them"
        elif any(stem(name).endswith(f".{kind}") for kind in beside):
            refusal = f"{name} is named like the results of another image; rename it, or give them a folder"
        yield Job(name, output_name(name), known.get(name, ""), refusal)


def _chunk_size(num_images: int, workers: int | None) -> int:
    """Large enough that handing over costs nothing, small enough that all workers end at about the same time."""
    workers = workers or (_CLUSTER_WORKERS if cluster_is_addressed() else usable_cpus())
    return max(1, min(_LARGEST_CHUNK, num_images // (workers * _CHUNKS_PER_WORKER)))


def _shared_folder(work: Work) -> Path | None:
    """The folder, made if need be, that the nodes of a cluster must see: none where the results go to S3."""
    if "://" in work.output:
        return None
    folder = Path(work.output)
    check_writable(folder / FOLDER / "summary.json")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
