"""Raw samples: what an adapter finds in a source, before anything is decoded."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from sgenet.errors import DataError


@dataclass(frozen=True, slots=True)
class RawSample:
    """One image of a source and, where there is one, its label map.

    Attributes:
        key: names the sample in shards, masks and tables; unique within its source, without dots.
        split: ``train`` or ``val``.
        image_path: of the image, relative to the source's root, with ``/``.
        label_path: of its label map, relative to the root of the labels; None where there is none.
        source: the name of the source among those of its dataset.
        storage: the source's root as the settings give it: a folder or ``s3://bucket/prefix``.
    """

    key: str
    split: str
    image_path: str
    label_path: str | None
    source: str
    storage: str


def sample_key(stem: str) -> str:
    """The key of a file from its path without the suffix, relative to its split's folder.

    Folders are joined by ``-``; dots, blanks and unprintable characters become ``_``, because
    WebDataset ends a key at the first dot and paths travel through tar and shells. Other
    characters stay, in Unicode's composed form, so that every file system gives the same key.
    """
    try:
        stem.encode()
    except UnicodeEncodeError:
        raise DataError(f"the file name {stem!a} is not valid UTF-8; rename the file") from None
    composed = unicodedata.normalize("NFC", stem).replace("/", "-")
    return "".join("_" if c in ".\\" or c.isspace() or not c.isprintable() else c for c in composed)


def checked_samples(samples: Iterable[RawSample]) -> list[RawSample]:
    """The samples sorted by split and key, once it is sure that their keys differ.

    Raises:
        DataError: naming the files that would share a key.
    """
    first_by_key: dict[str, RawSample] = {}
    collisions: list[str] = []
    for sample in sorted(samples, key=lambda sample: (sample.split, sample.key, sample.image_path)):
        first = first_by_key.setdefault(sample.key, sample)
        if first is not sample:
            collisions.append(f"{first.image_path} and {sample.image_path} (both '{sample.key}')")
    if collisions:
        where = next(iter(first_by_key.values())).storage
        raise DataError(f"duplicate names in {where}: {some(collisions)}; rename one of each")
    return list(first_by_key.values())


def hashed_split(key: str, val_ratio: float) -> str:
    """``val`` for a share ``val_ratio`` of all keys, else ``train``; a function of the key alone.

    Adding or removing other images therefore never moves an image from one split to the other.
    """
    position = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) / 2**64
    return "val" if position < val_ratio else "train"


def some(items: list[str], limit: int = 3) -> str:
    """The first few items of a list, for a message, and how many more there are."""
    more = len(items) - limit
    return ", ".join(items[:limit]) + (f" and {more} more" if more > 0 else "")
