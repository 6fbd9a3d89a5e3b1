"""Trains the tiny dataset in this process: ``train_tiny.py <dataset> <storage> <output>``."""

from __future__ import annotations

import sys
from pathlib import Path

from tiny import tiny_job

from pipelines.settings.params import RunSettings
from pipelines.stages.train import Digests, release
from pipelines.training.launch import launch

EXIT_INTERRUPTED = 130


def main(dataset: Path, storage: Path, output: Path) -> None:
    job = tiny_job(dataset, storage, steps=12, checkpoint_every=3, keep_checkpoints=2, loader_processes=1)
    run = RunSettings(workers=0, cpus_per_worker=1)
    try:
        launch(job, run)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    release(job, run, Digests("shards", "masks", "code"), output)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
