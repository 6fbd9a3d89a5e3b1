"""What shards are made of, with the same bytes everywhere: tar files without times, owners and modes, and PNGs."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
from PIL import Image
from webdataset import TarWriter

from pipelines.data.shards.schema import Span
from pipelines.storage.files import sha256_of_file, writing

# Run lengths and Huffman codes only: deflate's search for longer matches depends on the processor in some zlib builds.
_ZLIB_RLE = 3


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """(H, W, 3) uint8 RGB, or (H, W) uint8 class ids, as PNG."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG", compress_type=_ZLIB_RLE)
    return content.getvalue()


class ShardWriter:
    """Writes one shard and knows where each member's content lies.

    Attributes:
        size, sha256: of the whole file, once it is closed.

    Raises:
        DataError: from any method: the disk is full or the folder cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with writing(path):
            self._file = path.open("wb")
        self._tar = TarWriter(self._file, encoder=False, user="", group="", mode=0o644, mtime=0)
        self.size, self.sha256 = 0, ""

    def add(self, key: str, members: Sequence[tuple[str, bytes]]) -> list[Span]:
        """Append a sample's members, given as (suffix, content), and say where each lies."""
        spans: list[Span] = []
        for suffix, content in members:
            with writing(self._path):
                self._tar.write({"__key__": key, suffix: content})
            # The next header follows the content, which is filled up to whole blocks.
            blocks = -(-len(content) // tarfile.BLOCKSIZE)
            spans.append(Span(self._tar.tarstream.offset - blocks * tarfile.BLOCKSIZE, len(content)))
        return spans

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closed also after an error, or the stream complains about the closed file when it is collected.
        with writing(self._path) if error is None else suppress(OSError), closing(self._file):
            self._tar.close()
        if error is None:
            self.size, self.sha256 = self._path.stat().st_size, sha256_of_file(self._path)
