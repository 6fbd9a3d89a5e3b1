"""A small labelled dataset on disk, in the layout of msrc_v2, and what is made of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.settings.params import DataSettings
from pipelines.stages import index, shards


def png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def texture(seed: int, width: int = 40, height: int = 32) -> np.ndarray:
    """An image that is smooth at large and rough at small, as photographs are."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    return (np.asarray(coarse) // 2 + rng.integers(0, 64, (height, width, 3), np.uint8) + 16).astype(np.uint8)


def label_map(seed: int, width: int = 40, height: int = 32) -> np.ndarray:
    rng = np.random.default_rng(seed)
    label = np.repeat(np.repeat(rng.integers(0, 8, (4, 4), np.uint8), height // 4, 0), width // 4, 1)
    label[0, 0] = 255
    return label


def crop(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A transform: 20×20 pixels from anywhere."""
    top, left = (int(rng.integers(0, size - 19)) for size in label.shape)
    return image[top : top + 20, left : left + 20], label[top : top + 20, left : left + 20]


def whole(image: np.ndarray, label: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A transform: all as it is stored."""
    return image, label


class RawTree:
    """The raw files of a dataset and the settings that read them."""

    def __init__(self, root: Path) -> None:
        self.root = root / "raw"
        self.work = root
        self.settings = DataSettings(
            sources=[{"adapter": "msrc_v2", "root": str(self.root)}],
            label_space="outdoor_scenes",
            shorter_side=24,
            train_shorter_side=28,
            crop=20,
            samples_per_shard=3,
        )

    def add(self, split: str, stem: str, image: bytes, label: bytes, suffix: str = "png") -> None:
        for folder, name, content in (("images", f"{stem}.{suffix}", image), ("labels", f"{stem}.png", label)):
            path = self.root / folder / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def with_settings(self, **changes: object) -> DataSettings:
        return self.settings.model_copy(update=changes)

    @property
    def sources(self) -> Path:
        return self.work / "data" / "sources.parquet"

    def index(self) -> Path:
        index.run(self.settings, self.sources, workers=1)
        return self.sources

    def write(self, name: str = "shards", workers: int = 1, settings: DataSettings | None = None) -> Path:
        output = self.work / "data" / name
        shards.run(settings or self.settings, self.sources, output, workers)
        return output
