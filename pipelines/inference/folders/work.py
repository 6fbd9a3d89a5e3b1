"""Filling images: what one worker does with a few of them, and what it says of each."""

from __future__ import annotations

import hashlib
import tempfile
import time
import unicodedata
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from pipelines.inference.folders.places import CONFIDENCE, SEGMENTATION, SUFFIXES, beside, stem
from pipelines.storage.files import check_writable
from pipelines.storage.local import MissingFileError, join
from pipelines.storage.store import open_storage
from sgenet.errors import CheckpointError, DataError, UserError
from sgenet.methods.files import DESCRIPTION, WEIGHTS
from sgenet.settings import Precision

if TYPE_CHECKING:
    from pipelines.inference.images import Photo
    from sgenet.inpainter import Inpainted, Inpainter, Texture

FORMAT = 4
"""Raised when what is written for the same inputs changes, so that results of an older version are made again."""

BESIDE = ""
"""In place of a folder: beside the filled image."""

Status = Literal["done", "unchanged", "outdated", "failed"]


class OptionError(UserError):
    """What is asked for cannot be had from this model or on this machine, whatever the image."""


@dataclass(frozen=True)
class Model:
    """A released model that workers load once each.

    Attributes:
        folder: holds ``model.json`` and ``model.safetensors``; of another machine where ``files`` is given.
        digest: of both files.
        files: their content, for workers that do not see the folder.
    """

    folder: str
    digest: str
    files: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None = None

    @classmethod
    def of(cls, folder: Path, *, carry: bool = False) -> Model:
        """The model of a folder; ``carry`` takes its content along."""
        contents = [(folder / name).read_bytes() for name in _MODEL_FILES]
        digest = hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in contents)).hexdigest()
        first, second = (np.frombuffer(content, np.uint8) for content in contents)
        return cls(str(folder.absolute()), digest, (first, second) if carry else None)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.digest == other.digest


_MODEL_FILES = (DESCRIPTION, WEIGHTS)


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is the same for every image of a call.

    Attributes:
        photos: their folder.
        holes: the folder of holes.
        hole: the content of the one hole for all, in place of a folder.
        output: folder for the filled images.
        segmentation, confidence: folders for these images, or names of files; None leaves them out.
            ``BESIDE`` puts them beside the filled image.
        white_is_hole: the holes' polarity.
        texture: where the fillings' texture comes from.
        device: where the model runs.
        precision: of its convolutions.
        threads: of a worker; None leaves it to PyTorch.
    """

    photos: str
    holes: str
    output: str
    model: Model
    hole: bytes | None = None
    segmentation: str | None = None
    confidence: str | None = None
    white_is_hole: bool = True
    texture: Texture = "exemplar"
    device: str = "cpu"
    precision: Precision = "float32"
    threads: int | None = None


@dataclass(frozen=True)
class Job:
    """One image.

    Attributes:
        photo: its name below the folder.
        output: the name of the filled image, below the folder of outputs.
        known: the key of the result that is there already, as an earlier call recorded it; empty where none did.
        refusal: why it cannot be done, where that is known beforehand.
    """

    photo: str
    output: str
    known: str = ""
    refusal: str | None = None


@dataclass(frozen=True, kw_only=True)
class ManifestRow:
    """What became of one image: a row of the manifest.

    Attributes:
        image, output: names below their folders.
        status: ``done``; ``failed``; or, not written to the manifest, ``unchanged`` since an earlier call did it, or
            ``outdated``: an earlier call recorded another result, which is left alone while its row is there.
        reason: why it failed.
        warning: what looks wrong though it was done.
        hole_ratio: share of pixels that were missing.
        confidence: the mean in the hole; None without a hole or for a method without segmentation.
        seconds: to read, fill and write it; not to load the model.
        key: hash of photo, hole, model and options.
        photo_sha256, hole_sha256: of the files.
        ours: whether the failure is a fault of this program, not of the image.
    """

    image: str
    output: str
    status: Status
    reason: str | None = None
    warning: str | None = None
    hole_ratio: float | None = None
    confidence: float | None = None
    seconds: float = 0.0
    key: str = ""
    photo_sha256: str = ""
    hole_sha256: str = ""
    ours: bool = False


def fill_chunk(jobs: tuple[Job, ...], work: Work) -> list[ManifestRow]:
    """Fill some images; one that cannot be filled is reported as failed and does not stop the others."""
    return [_fill_or_say_why(job, work) for job in jobs]


def fill(job: Job, work: Work) -> ManifestRow:
    """Fill one image and write what was asked for, the filled image last.

    A result that was recorded as another one is not overwritten: were the call interrupted before it recorded its own,
    the two would be taken for each other. Without ``known`` it is.

    Raises:
        UserError: its files cannot be used.
    """
    if job.refusal is not None:
        raise DataError(job.refusal)
    read_at = time.monotonic()
    photo = open_storage(work.photos).read(job.photo)
    hole = read_hole(work.holes, job.photo) if work.hole is None else work.hole
    digests = hashlib.sha256(photo).hexdigest(), hashlib.sha256(hole).hexdigest()
    key = result_key(job, work, *digests)
    if job.known and job.known != key:
        return ManifestRow(image=job.photo, output=job.output, status="outdated", key=key)
    if job.known and _is_there(job, work):
        return ManifestRow(image=job.photo, output=job.output, status="unchanged", key=key)
    reading = time.monotonic() - read_at
    inpainter = _load(work.model, work.device, work.precision, work.threads)
    filled_at = time.monotonic()
    opened, inpainted, caught = _inpaint(photo, hole, job, work, inpainter)
    _write(opened, inpainted, job, work, inpainter)
    return ManifestRow(
        image=job.photo,
        output=job.output,
        status="done",
        warning=caught,
        hole_ratio=round(float(inpainted.hole.mean()), 6),
        confidence=None if inpainted.hole_confidence is None else round(inpainted.hole_confidence, 4),
        seconds=round(reading + time.monotonic() - filled_at, 3),
        key=key,
        photo_sha256=digests[0],
        hole_sha256=digests[1],
    )


def check_outputs(job: Job, work: Work) -> None:
    """Refuse local places that nothing can be written to, before there is anything to write.

    Raises:
        DataError: what is in the way.
    """
    for folder, name in _outputs(job, work).values():
        if "://" not in folder:
            check_writable(Path(folder) / name)


def read_hole(folder: str, photo: str) -> bytes:
    """The file of the photo's name in a folder of holes, whatever its ending.

    Nobody lists the folder: it may hold millions.

    Raises:
        DataError: there is none.
    """
    storage = open_storage(folder)
    # Systems write accented letters in one character (NFC) or in two (NFD).
    stems = dict.fromkeys((stem(photo), *(unicodedata.normalize(form, stem(photo)) for form in ("NFC", "NFD"))))
    for name in stems:
        for suffix in (*SUFFIXES, *(suffix.upper() for suffix in SUFFIXES)):
            try:
                return storage.read(name + suffix)
            except MissingFileError:
                continue
    raise DataError(f"{photo} has no mask: there is no {stem(photo)}.png (or .jpg, …) in {folder}; add one")


def result_key(job: Job, work: Work, photo_sha256: str, hole_sha256: str) -> str:
    """What decides a result, as one hash: the same key is the same result."""
    decides = (
        FORMAT,
        job.photo,
        photo_sha256,
        hole_sha256,
        work.model.digest,
        work.white_is_hole,
        work.precision,
        work.texture,
        # Where they lie decides nothing, as long as they are there.
        work.segmentation is not None,
        work.confidence is not None,
    )
    return hashlib.sha256(repr(decides).encode()).hexdigest()


def _fill_or_say_why(job: Job, work: Work) -> ManifestRow:
    try:
        return fill(job, work)
    except (CheckpointError, OptionError):
        # Every other image would end like this one.
        raise
    except UserError as error:
        reason, ours = str(error), False
    except MemoryError:
        reason, ours = f"there is not enough memory to fill {job.photo}; scale it down or use fewer workers", False
    # Nobody should lose a night's work to one image: it is counted, and the exit status says so.
    except Exception as error:
        reason, ours = f"{type(error).__name__}: {error}", True
    return ManifestRow(image=job.photo, output=job.output, status="failed", reason=reason, ours=ours)


def _inpaint(
    content: bytes, hole: bytes, job: Job, work: Work, inpainter: Inpainter
) -> tuple[Photo, Inpainted, str | None]:
    """The photo, what came out, and what looks wrong though it was done."""
    from pipelines.inference.images import decode_image, decode_photo

    photo = decode_photo(content, f"the photo {join(work.photos, job.photo)}")
    mask = decode_image(hole, f"the hole mask of {job.photo}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        inpainted = inpainter(photo.pixels, mask, texture=work.texture, white_is_hole=work.white_is_hole)
    return photo, inpainted, "; ".join((*photo.warnings, *(str(warning.message) for warning in caught))) or None


def _write(photo: Photo, inpainted: Inpainted, job: Job, work: Work, inpainter: Inpainter) -> None:
    from pipelines.inference.images import encode_filled, encode_label, encode_png

    outputs = _outputs(job, work)
    if len(outputs) > 1 and (inpainted.label is None or inpainted.confidence is None):
        raise OptionError(
            "the model predicts no segmentation, so there is neither a segmentation nor a confidence to save; leave "
            "out these options or use a model of another method"
        )
    for kind, (folder, name) in outputs.items():
        if kind == SEGMENTATION:
            assert inpainted.label is not None
            content = encode_label(inpainted.label, inpainter.label_space)
        elif kind == CONFIDENCE:
            assert inpainted.confidence is not None
            content = encode_png(np.rint(inpainted.confidence * 255).astype(np.uint8))
        else:
            content = encode_filled(photo, inpainted)
        open_storage(folder).write(name, content)


def _outputs(job: Job, work: Work) -> dict[str, tuple[str, str]]:
    """Folder and name of everything that is written, the filled image last: it says that the others are there."""
    outputs: dict[str, tuple[str, str]] = {}
    for kind, place in ((SEGMENTATION, work.segmentation), (CONFIDENCE, work.confidence)):
        if place == BESIDE:
            outputs[kind] = work.output, beside(job.output, kind)
        elif place is not None and place.lower().endswith(".png"):
            folder, _, name = place.rpartition("/")
            outputs[kind] = folder or "/", name
        elif place is not None:
            outputs[kind] = place, job.output
    return {**outputs, "filled": (work.output, job.output)}


def _is_there(job: Job, work: Work) -> bool:
    return all(open_storage(folder).exists(name) for folder, name in _outputs(job, work).values())


@lru_cache(maxsize=1)
def _load(model: Model, device: str, precision: Precision, threads: int | None) -> Inpainter:
    import torch

    from pipelines.parallel.device import precision_problem
    from sgenet.inpainter import Inpainter
    from sgenet.precision import device_problem

    if problem := device_problem(device) or precision_problem(device, precision):
        raise OptionError(problem)
    if threads is not None:
        torch.set_num_threads(threads)
    if model.files is None:
        return Inpainter.load(Path(model.folder), device, precision=precision)
    with tempfile.TemporaryDirectory(prefix="sgenet-model-") as folder:
        for name, content in zip(_MODEL_FILES, model.files, strict=True):
            (Path(folder) / name).write_bytes(content.tobytes())
        return Inpainter.load(Path(folder), device, precision=precision)
