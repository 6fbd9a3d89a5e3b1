"""A dataset with labels for a part of it, and a segmenter that was never fitted: what labelling needs, in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tiny import DATASET, tiny_settings

from pipelines.data.labels.manifest import SegmenterManifest
from pipelines.settings.labels import LabelSettings
from pipelines.settings.params import Settings
from pipelines.stages import index, masks, shards
from sgenet.label_space import LabelSpace
from sgenet.segmenters.build import build_segmenter
from sgenet.segmenters.release import load_segmenter, save_segmenter
from sgenet.segmenters.settings import DeepParsingSettings, SegmenterRecipe

NUM_LABELLED, NUM_UNLABELLED = 12, 5
SMALL = DeepParsingSettings(width=4, context_width=8, local_window=5, context_window=3, num_contexts=2)


def write_images(root: Path) -> None:
    """Images of two halves with labels, and others of three sizes without."""
    rng = np.random.default_rng(5)
    for number in range(NUM_LABELLED + NUM_UNLABELLED):
        labelled = number < NUM_LABELLED
        height, width = (40, 44) if labelled else ((40, 44), (52, 40), (40, 60))[number % 3]
        label = np.zeros((height, width), np.uint8)
        label[:, width // 2 :] = 1
        label[:3] = 255
        colours = rng.integers(40, 216, (256, 3))
        image = np.clip(colours[label] + rng.normal(0, 12, (height, width, 3)), 0, 255).astype(np.uint8)
        for kind, pixels in (("images", image), *((("labels", label),) if labelled else ())):
            path = root / ("with" if labelled else "without") / kind / f"image-{number:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


def partly_settings(root: Path, storage: Path, labels: dict[str, Any] | None = None, **training: Any) -> Settings:
    """The tiny settings on these images, two samples a shard."""
    settings = tiny_settings(root, storage, **training)
    data = settings.data[DATASET]
    (source,) = data.sources
    raw = root / "raw"
    with_labels = source.model_copy(
        update={"root": str(raw / "with" / "images"), "label_root": str(raw / "with" / "labels"), "val_ratio": 0.3}
    )
    without = source.model_copy(update={"root": str(raw / "without" / "images"), "label_root": None, "val_ratio": 0.0})
    data = data.model_copy(update={"sources": (with_labels, without), "samples_per_shard": 5})
    found = {} if labels is None else {DATASET: LabelSettings.model_validate({"segmenter": "deep_parsing", **labels})}
    return settings.model_copy(update={"data": {DATASET: data}, "labels": found})


def make_partly_labelled(root: Path) -> None:
    """Write raw images, ``shards``, ``masks`` and ``segmenter`` below ``root``."""
    write_images(root / "raw")
    settings = partly_settings(root, root / "storage")
    data = settings.data[DATASET]
    index.run(data, root / "sources.parquet", workers=1)
    shards.run(data, root / "sources.parquet", root / "shards", workers=1)
    masks.run(settings.masks[DATASET], settings.evaluation, data, root / "shards", root / "masks")
    write_segmenter(root / "segmenter", data.labels)


def write_segmenter(folder: Path, label_space: LabelSpace, seed: int = 1) -> None:
    """What the stage ``fit_segmenter`` would leave: a network with weights, and the manifest."""
    recipe = SegmenterRecipe(deep_parsing=SMALL)
    network = build_segmenter("deep_parsing", recipe, label_space.num_classes)
    # So that it is sure of some pixels and not of others.
    network.unary.scores.weight.data.mul_(1000 * seed)
    save_segmenter(folder, "deep_parsing", network, recipe, label_space)
    sha256 = load_segmenter(folder).sha256
    SegmenterManifest(segmenter="deep_parsing", sha256=sha256).write(folder)
