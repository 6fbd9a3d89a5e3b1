"""The resumable state of one logical training, in a folder or under an ``s3://`` address."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.storage.store import DamagedFileError, MissingFileError, open_storage
from pipelines.training.history import History
from sgenet.errors import CheckpointError
from sgenet.training.checkpoint import digest_path, load_checkpoint, write_checkpoint
from sgenet.training.state import TrainingState

_NAME = re.compile(r"step-(\d+)\.pt")
_CHECKSUM_SUFFIX = ".sha256"
_HISTORY = "history.jsonl"


class CheckpointStore:
    """The checkpoints of one run key: ``step-00001000.pt`` with its checksum, and the loss history.

    Args:
        address: folder or ``s3://bucket/prefix`` of this run key alone.
        keep: how many of the newest checkpoints stay, beside the best one and that of step 0, where a training starts
            from another model.
    """

    def __init__(self, address: str, keep: int) -> None:
        self.address = address
        self._storage = open_storage(address)
        self._keep = max(keep, 1)

    def steps(self) -> list[int]:
        """The steps there are whole checkpoints of, ascending."""
        paths = {entry.path for entry in self._storage.list()}
        found = [(path, match) for path in paths if (match := _NAME.fullmatch(path))]
        return sorted(int(match[1]) for path, match in found if path + _CHECKSUM_SUFFIX in paths)

    def save(self, step: int, content: dict[str, Any], best: int | None = None) -> None:
        """Store a state and forget all but the newest checkpoints up to it, and the best one.

        Args:
            content: of the state, its ``state_dict`` at this step.
            best: the step of the best checkpoint, if any was validated.
        """
        name = _name(step)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            digest = write_checkpoint(content, path)
            # The checksum last: a checkpoint without one does not count.
            self._storage.upload(path, name, digest)
            self._storage.upload(digest_path(path), name + _CHECKSUM_SUFFIX)
        self._forget_old(step, best)

    def load(self, state: TrainingState, step: int) -> None:
        """Restore the checkpoint of ``step`` into a state of the same method and recipe.

        Raises:
            CheckpointError: when it is missing or damaged.
            DataError: when the storage cannot be used.
        """
        name = _name(step)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            try:
                for file in (path, path.with_name(name + _CHECKSUM_SUFFIX)):
                    self._storage.download(file.name, file)
            except (DamagedFileError, MissingFileError) as error:
                raise CheckpointError(str(error)) from None
            load_checkpoint(state, path)

    def load_newest(self, state: TrainingState, say: Callable[[str], None]) -> int:
        """Restore the newest checkpoint that verifies.

        Args:
            say: receives a message for each damaged checkpoint that is skipped.

        Returns:
            Its step; 0 and an untouched state where there is none.
        """
        for step in reversed(self.steps()):
            try:
                self.load(state, step)
            except CheckpointError as error:
                say(f"skipped the checkpoint of step {step} in {self.address}: {error}")
            else:
                return step
        return 0

    def save_history(self, history: History) -> None:
        """Store the history; before the checkpoint of the same step, so that none is ever missing a row."""
        self._storage.write(_HISTORY, history.to_json_lines())

    def load_history(self, step: int) -> History:
        """The history up to ``step``; empty where none was stored."""
        history = History()
        if self._storage.exists(_HISTORY):
            history = History.from_json_lines(self._storage.read(_HISTORY))
        history.rewind(step)
        return history

    def _forget_old(self, newest: int, best: int | None) -> None:
        # Later steps are left of a run that was rewound past a damaged checkpoint: stale as well.
        steps = self.steps()
        kept = [step for step in steps if step <= newest][-self._keep :]
        for step in steps:
            if step not in kept and step not in (0, best):
                self._storage.delete(_name(step) + _CHECKSUM_SUFFIX)
                self._storage.delete(_name(step))


def _name(step: int) -> str:
    return f"step-{step:08d}.pt"
