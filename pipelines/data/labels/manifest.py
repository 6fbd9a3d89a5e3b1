"""The manifest of the stage ``fit_segmenter``: which segmenter it chose. Needs neither PyTorch nor a segmenter."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipelines.storage.files import reading, write_atomically

MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class SegmenterManifest:
    """``manifest.json`` of the stage ``fit_segmenter``.

    Attributes:
        segmenter: its name; None: nothing asks for a segmenter, and the rest is empty.
        used: how it is used on filled images, as in the settings: scoring reads the settings, and runs again
            where this file changes.
        sha256: of its weights, which is what labels are made by.
        checkpoint: what it was loaded from; None where it was fitted here.
        run_id: of the run that fitted it.
    """

    segmenter: str | None = None
    used: dict[str, Any] = field(default_factory=dict)
    sha256: str | None = None
    checkpoint: str | None = None
    run_id: str | None = None

    def write(self, folder: Path) -> None:
        """Write it, last of a folder's files."""
        write_atomically(folder / MANIFEST, (json.dumps(asdict(self), indent=2, sort_keys=True) + "\n").encode())

    @classmethod
    def read(cls, folder: Path) -> SegmenterManifest:
        """Read it.

        Raises:
            DataError: it is missing or damaged.
        """
        path = folder / MANIFEST
        with reading(path, "run the stage fit_segmenter"):
            return cls(**json.loads(path.read_text(encoding="utf-8")))
