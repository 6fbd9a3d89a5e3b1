"""Photos, holes and tiny models for the tests of ``inpaint``, of the page and of the servers."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from sgenet.label_space import OUTDOOR_SCENES
from sgenet.methods.build import build_generator
from sgenet.methods.gated_conv.settings import GatedConvSettings
from sgenet.methods.recipe import Recipe
from sgenet.methods.release import save_released
from sgenet.settings import NetworkSettings, TrainingSettings

HEIGHT, WIDTH = 30, 41


def make_model(folder: Path, method: str = "sge_net", seed: int = 0, image_size: int = 32) -> Path:
    network = NetworkSettings(widths=(4, 4, 4, 4, 4), context_blocks=1, modulation_width=4, image_size=image_size)
    recipe = Recipe(network=network, training=TrainingSettings(seed=seed), gated_conv=GatedConvSettings(width=4))
    torch.manual_seed(seed)
    save_released(folder, method, build_generator(method, recipe, 8), recipe, OUTDOOR_SCENES)
    return folder


def saved(image: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_claiming(width: int, height: int, *others: bytes) -> bytes:
    """A PNG of a few bytes that says it is so large."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(others) + png_chunk(b"IDAT", zlib.compress(bytes(99)))


def make_photo(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def make_hole(path: Path, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    hole = np.zeros(size, np.uint8)
    hole[4:16, 8:20] = 255
    Image.fromarray(hole).save(path)
    return path


def make_tree(root: Path, names: list[str]) -> tuple[Path, Path]:
    """``photos/`` of these names and ``holes/`` for each."""
    for seed, name in enumerate(names):
        make_photo(root / "photos" / name, seed)
        make_hole((root / "holes" / name).with_suffix(".png"))
    return root / "photos", root / "holes"


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def pixels_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))
