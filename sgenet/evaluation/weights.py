"""Weights that a score is defined by: one file, known by its hash, and no other under that score's name."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from sgenet.errors import CheckpointError


def check_known_weights(path: Path, sha256: str, file_name: str, setting: str, score: str) -> None:
    """Refuse every file but one.

    Args:
        path: the file.
        sha256: what it must hash to.
        file_name: what it is called where it is published.
        setting: the key that the path comes from.
        score: what is taken with it.

    Raises:
        CheckpointError: it cannot be read, or is another file.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(
            f"{setting}: {path} cannot be read ({error.strerror}); give the path of {file_name}, or 'none'"
        ) from None
    if found != sha256:
        raise CheckpointError(
            f"{setting}: {path} is not {file_name} (its SHA-256 begins with {found[:8]}, not {sha256[:8]}), and what "
            f"other weights give may not be called {score}; give that file, or 'none'"
        )


def read_known_weights(path: Path, sha256: str, file_name: str, setting: str, score: str) -> dict[str, Tensor]:
    """The state that the one file holds; see :func:`check_known_weights`."""
    check_known_weights(path, sha256, file_name, setting, score)
    return dict(torch.load(path, map_location="cpu", weights_only=True))
