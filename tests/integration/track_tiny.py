"""``track_tiny.py DATASET STORAGE OUTPUT``: the stage ``train`` of a tiny dataset, tracked."""

from __future__ import annotations

import sys
from pathlib import Path

from tiny import DATASET, METHOD, tiny_settings

from pipelines.stages import train

STEPS = 40


if __name__ == "__main__":
    dataset, storage, output = map(Path, sys.argv[1:])
    settings = tiny_settings(dataset, storage, steps=STEPS, checkpoint_every=10, validate_every=20)
    train.run(settings, DATASET, METHOD, dataset / "shards", dataset / "masks", output)
