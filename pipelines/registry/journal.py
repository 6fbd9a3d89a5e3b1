"""A journal in the tracking store: numbered entries, each written once, whoever writes at the same time.

MLflow lets the last writer win in aliases and tags; parameters of a run cannot be changed once they are
there, and the store checks that in one transaction. So the entry with a number belongs to who wrote it
first, the others are told, and nobody needs a lock that a killed process could leave behind.

The journal of a model is a run of its own, ``champions of <model>``. Which run that is, is written once,
too: as a parameter of the run of the model's first version; a tag of the model repeats it.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pipelines.tracking.address import TrackingError
from pipelines.tracking.runs import close_run, open_run

JOURNAL_TAG = "sgenet.champions"

_EXPERIMENT = "registry"
_POINTER = "sgenet.champions."
_ENTRY = "champion."
_SETTLED = "settled."
_WIDTH = 6
_LONGEST = 6000  # what a store keeps of a parameter


class Journal:
    """The entries of one registered model.

    Args:
        client: of the store.
        name: of the model, which must exist.
    """

    def __init__(self, client: MlflowClient, name: str) -> None:
        self.name = name
        self._client = client
        self._run_id: str | None = None

    def read(self) -> tuple[list[dict[str, Any]], bool]:
        """All entries in their order, and whether the last one was settled; nothing is made where there is none."""
        run_id = self._find()
        if run_id is None:
            return [], True
        parameters = self._client.get_run(run_id).data.params
        entries: list[dict[str, Any]] = []
        while text := parameters.get(_key(_ENTRY, len(entries) + 1)):
            entries.append(json.loads(text))
        return entries, not entries or _key(_SETTLED, len(entries)) in parameters

    def append(self, number: int, entry: dict[str, Any]) -> bool:
        """Write entry ``number``, counted from 1; False when another process wrote it first."""
        text = json.dumps(entry, sort_keys=True, ensure_ascii=False)
        if len(text) > _LONGEST:
            raise ValueError(f"a journal entry of {len(text)} characters is longer than {_LONGEST}")
        return self._write_once(self._run(), _key(_ENTRY, number), text)

    def settle(self, number: int, at: str) -> None:
        """Note that the alias was seen to follow entry ``number``; the first note stays."""
        self._write_once(self._run(), _key(_SETTLED, number), at)

    def prepare(self) -> None:
        """Make the journal where there is none. Not to be called under the store's lock, which it takes itself."""
        self._run()

    def _run(self) -> str:
        run_id = self._find()
        if run_id is None:
            run_id = self._make()
        return run_id

    def _find(self) -> str | None:
        if self._run_id is None:
            self._run_id = self._client.get_registered_model(self.name).tags.get(JOURNAL_TAG) or self._pointed()
        return self._run_id

    def _pointed(self) -> str | None:
        first, key = self._pointer()
        value = self._client.get_run(first).data.params.get(key)
        return None if value is None else str(value)

    def _make(self) -> str:
        made = open_run(_EXPERIMENT, f"champions of {self.name}", name=f"champions of {self.name}", params={})
        close_run(made, "FINISHED")
        first, key = self._pointer()
        # A process that made another run at the same moment learns here which of the two counts.
        self._write_once(first, key, made)
        self._run_id = str(self._client.get_run(first).data.params[key])
        if self._run_id != made:
            with suppress(MlflowException):  # deleted already, by another that lost
                self._client.delete_run(made)
        self._tag(self._run_id)
        return self._run_id

    def _tag(self, run_id: str) -> None:
        """Repeat the journal's run in a tag of the model."""
        try:
            self._client.set_registered_model_tag(self.name, JOURNAL_TAG, run_id)
        except MlflowException:
            # Two processes that write a new tag at the same moment collide in the store; both write the same.
            if self._client.get_registered_model(self.name).tags.get(JOURNAL_TAG) != run_id:
                raise

    def _pointer(self) -> tuple[str, str]:
        """The run of the model's first version, and the parameter there that names the journal."""
        versions = self._client.search_model_versions(
            f"name = '{self.name}'", max_results=1, order_by=["version_number ASC"]
        )
        if not versions or not versions[0].run_id:
            raise TrackingError(
                f"the first version of {self.name} has no run, so its champions cannot be recorded; register a "
                "version with `python -m pipelines register`"
            )
        # A model that was deleted and registered anew, from the same run, has another history.
        created = self._client.get_registered_model(self.name).creation_timestamp
        identity = hashlib.sha256(f"{self.name}\0{created}".encode()).hexdigest()[:16]
        return versions[0].run_id, _POINTER + identity

    def _write_once(self, run_id: str, key: str, value: str) -> bool:
        try:
            self._client.log_param(run_id, key, value, synchronous=True)
        except MlflowException:
            held = self._client.get_run(run_id).data.params.get(key)
            if held is None:
                raise
            # Equal: it was written, but the answer was lost on the way and the client tried again.
            return bool(held == value)
        return True


def _key(prefix: str, number: int) -> str:
    return f"{prefix}{number:0{_WIDTH}d}"
