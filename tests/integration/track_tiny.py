"""What tracking does in a process that ends before its time; see ``test_server_away.py``.

``track_tiny.py train DATASET STORAGE OUTPUT``   the whole stage, tracked
``track_tiny.py log RUN_ID``                      log four steps on standard input's word, and be killed
``track_tiny.py drive``                           open a run, say its id, and be killed
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tiny import DATASET, METHOD, tiny_settings

from pipelines.stages import train
from pipelines.tracking.logger import RunLogger
from pipelines.tracking.runs import logical_run

STEPS = 40


def main(what: str, *arguments: str) -> None:
    match what:
        case "train":
            dataset, storage, output = map(Path, arguments)
            settings = tiny_settings(dataset, storage, steps=STEPS, checkpoint_every=10, validate_every=20)
            train.run(settings, DATASET, METHOD, dataset / "shards", dataset / "masks", output)
        case "log":
            logger = RunLogger(arguments[0])
            for step in (5, 6, 7, 8):
                logger.metrics({"loss": float(step)}, step)
            os.kill(os.getpid(), signal.SIGKILL)
        case "drive":
            with logical_run("tests", "driven", name="driven", params={}) as logger:
                print(logger.run_id, flush=True)
                os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
