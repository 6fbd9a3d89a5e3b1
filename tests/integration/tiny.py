"""A dataset and settings so small that a training takes a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipelines.settings.load import parse
from pipelines.settings.params import Settings
from pipelines.stages import index, masks, shards, train
from pipelines.training.job import TrainingJob

CROP = 32
DATASET = "tiny"
METHOD = "sge_net"


def tiny_job(root: Path, storage: Path, **training: Any) -> TrainingJob:
    """A training of SGE-Net on that dataset, without tracking, its state below ``storage``."""
    settings = tiny_settings(root, storage, **training)
    digests = train.Digests(shards="shards", masks="masks", code="code")
    return train.plan(settings, DATASET, METHOD, root / "shards", root / "masks", digests)


def tiny_settings(root: Path, storage: Path, **training: Any) -> Settings:
    """Settings of the dataset that :func:`make_dataset` wrote below ``root``."""
    return parse(tiny_params(DATASET, root, storage, **training))


def tiny_params(dataset: str, root: Path, storage: Path, **training: Any) -> dict[str, Any]:
    """The same as it stands in ``params.yaml``, of a dataset of any name."""
    images, labels = (str(root / "raw" / kind) for kind in ("images", "labels"))
    return {
        "datasets": [dataset],
        "methods": [METHOD],
        "storage": str(storage),
        "data": {
            dataset: {
                "sources": [{"adapter": "folder", "root": images, "label_root": labels, "val_ratio": 0.3}],
                "label_space": {"names": ["left", "right", "square"]},
                "shorter_side": 36,
                "crop": CROP,
            }
        },
        "masks": {
            dataset: {
                "training": [{"kind": "centre", "size": 12}, {"kind": "rectangles"}],
                "evaluation": [{"name": "centre", "hole": {"kind": "centre", "size": 12}}],
            }
        },
        "recipes": {dataset: tiny_recipe(**training)},
        "run": {"workers": 0, "cpus_per_worker": 1},
    }


def tiny_recipe(**training: Any) -> dict[str, Any]:
    """The smallest SGE-Net with all of its losses but the perceptual one."""
    return {
        "network": {
            "widths": [4, 4, 8, 8, 8],
            "context_blocks": 1,
            "encoder_blocks": [0, 0, 0, 0, 1],
            "modulation_width": 4,
            "reliability_width": 2,
            "image_size": CROP,
        },
        "discriminator": {"width": 4, "num_layers": 2, "num_scales": 2},
        "losses": {"perceptual": 0.0, "hole_weight": 1.0},
        "augmentation": {"min_scale": 0.9, "colour_jitter": 0.1},
        "training": {
            "steps": 8,
            "batch_size": 4,
            "precision": "float32",
            "loader_processes": 0,
            "log_every": 1,
            "checkpoint_every": 2,
            "validate_every": 4,
            "num_sample_images": 2,
            **training,
        },
    }


def make_dataset(root: Path, count: int = 12) -> tuple[Path, Path]:
    """Write raw images, shards and masks below ``root``; give the folders of the last two."""
    for number in range(count):
        _write_image(root / "raw", number)
    settings = tiny_settings(root, root / "storage")
    data = settings.data[DATASET]
    index.run(data, root / "sources.parquet", workers=1)
    shards.run(data, root / "sources.parquet", root / "shards", workers=1)
    masks.run(settings.masks[DATASET], settings.evaluation, data, root / "shards", root / "masks")
    return root / "shards", root / "masks"


def _write_image(root: Path, number: int) -> None:
    """Noise on two halves of an image, a square between them, an *ignore* stripe at the bottom."""
    rng = np.random.default_rng(number)
    label = np.zeros((40, 44), np.uint8)
    label[:, int(rng.integers(10, 34)) :] = 1
    top, left = rng.integers(4, 20, 2)
    label[top : top + 12, left : left + 12] = 2
    colours = rng.integers(40, 216, (3, 3))
    image = np.clip(colours[label] + rng.normal(0, 12, (40, 44, 3)), 0, 255).astype(np.uint8)
    label[36 - number % 3 :] = 255
    for kind, pixels in (("images", image), ("labels", label)):
        path = root / kind / f"image-{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
