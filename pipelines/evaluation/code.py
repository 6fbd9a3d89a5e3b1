"""Which code a score was taken with: scores of two versions of it are not comparable."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Iterable, Iterator
from pathlib import Path

import pipelines
import sgenet
from pipelines.storage.files import digest_files

# What lies between a stored picture and its scores, below the folders of the two packages.
_LIBRARY = ("evaluation", "batch.py", "checks.py", "label_space.py", "transforms.py")
_PLATFORM = (
    "evaluation",
    "data/evaluation_masks.py",
    "data/shards/loader.py",
    "data/shards/reader.py",
    "data/shards/sampler.py",
    "data/shards/schema.py",
)

# PSNR, confusion matrices and the arithmetic below them.
_DEPENDENCIES = ("torch", "torchmetrics")


def digest_metric_code() -> str:
    """Hash the sources that scores depend on, and the versions of the libraries they use.

    A build's local suffix (``+cpu``, ``+cu130``) does not count.
    """
    parts = [_digest(sgenet.__path__[0], _LIBRARY), _digest(pipelines.__path__[0], _PLATFORM)]
    parts += [f"{name}=={importlib.metadata.version(name).split('+')[0]}" for name in _DEPENDENCIES]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _digest(package: str, sources: Iterable[str]) -> str:
    folder = Path(package).resolve()
    return digest_files((file for source in sources for file in _python_files(folder / source)), folder)


def _python_files(source: Path) -> Iterator[Path]:
    return source.rglob("*.py") if source.is_dir() else iter([source])
