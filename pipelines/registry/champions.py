"""The ``champion`` alias of a model; tags on its versions record who moved it, when, why and on what evidence.

Whoever sets the alias in the MLflow UI is obeyed: the next command notes that on the version. Where several set it
at the same time, the last one wins, and the moves of all are on their versions.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from mlflow.exceptions import MlflowException

from pipelines.tracking.address import (
    TrackingError,
    check_reachable,
    one_at_a_time,
    open_client,
    store_errors,
    tracking_uri,
)
from pipelines.tracking.model_source import CHAMPION
from pipelines.tracking.released import all_versions
from pipelines.tracking.runs import user_name

_TAG = "champion."
"""A move's tag is called this and its time, such as ``champion.2026-11-29T14:03:12.345Z``."""

RUN_TAG = "champion"
"""Of the run whose model is champion: which version of which model, for the table of runs."""

_LONGEST_REASON = 1000

Kind = Literal["promotion", "rollback", "outside"]


class OvertakenError(TrackingError):
    """The alias points elsewhere right after it was set: another command set it at the same time."""


@dataclass(frozen=True, kw_only=True)
class ChampionMove:
    """One move of ``champion``.

    Attributes:
        kind: what moved it; ``outside``: something other than this project's commands, such as the MLflow UI.
        before, after: versions; None for no champion.
        at: when, UTC; of a move outside, when it was noticed. Always later than the previous move, even if clocks
            disagree or go back.
        by: the user who ran the command.
        reason: in words.
        evidence: address of the decision's table; empty where there is none.
    """

    kind: Kind
    before: str | None
    after: str | None
    at: str
    by: str
    reason: str
    evidence: str = ""


@dataclass(frozen=True)
class State:
    """The alias, and the moves that are noted on the versions.

    Attributes:
        entries: in the order of their times.
        champion: the version that the alias points at; None where it points at none.
    """

    entries: tuple[ChampionMove, ...]
    champion: str | None

    @property
    def noted(self) -> str | None:
        """The champion by the last move."""
        return self.entries[-1].after if self.entries else None

    @property
    def previous(self) -> list[str]:
        """Earlier champions, oldest first; the last is the one that a rollback returns to."""
        stack: list[str] = []
        for entry in self.entries:
            if entry.kind == "rollback" and entry.after in stack:
                del stack[stack.index(entry.after) + 1 :]
            elif entry.after is not None and entry.after not in stack[-1:]:
                stack.append(entry.after)
        return stack[:-1] if stack[-1:] == [self.champion] else stack


class Champions:
    """The champions of one registered model. Every method raises a TrackingError where the store cannot be used."""

    def __init__(self, name: str) -> None:
        self.name = name
        check_reachable(tracking_uri(), must_exist=True)
        self._client = open_client()

    def look(self) -> State:
        """Read the alias and the moves; nothing is changed."""
        with store_errors(f"the champion of {self.name} cannot be read"):
            aliases = self._client.get_registered_model(self.name).aliases
            moves = [
                ChampionMove(at=key.removeprefix(_TAG), **json.loads(value))
                for version in all_versions(self.name)
                for key, value in version.tags.items()
                if key.startswith(_TAG)
            ]
        champion = str(aliases[CHAMPION]) if CHAMPION in aliases else None
        return State(tuple(sorted(moves, key=lambda entry: entry.at)), champion)

    def note_outside(self) -> State:
        """Record a move of the alias made outside these commands, if there was one; then :meth:`look`."""
        state = self.look()
        if state.champion == state.noted:
            return state
        reason = f"found at {shown(state.champion)} instead of {shown(state.noted)}"
        self._note(state, "outside", state.noted, state.champion, reason)
        return self.look()

    def move(self, kind: Kind, after: str, reason: str, evidence: str = "") -> ChampionMove:
        """Make a version champion, note it on the version, and read both back.

        Args:
            kind, after, reason, evidence: see :class:`ChampionMove`.

        Raises:
            OvertakenError: another command set the alias at the same time; the last one wins.
        """
        state = self.look()
        before = state.champion
        # Two processes that give a model its first alias at once would both insert it.
        with store_errors(f"the champion of {self.name} cannot be moved"), one_at_a_time():
            self._client.set_registered_model_alias(self.name, CHAMPION, after)
        entry = self._note(state, kind, before, after, reason, evidence)
        state = self.look()
        if state.champion != after or entry not in state.entries:
            raise OvertakenError(
                f"{shown(after)} of {self.name} was made champion, but the alias is now at {shown(state.champion)}: "
                "another command set it at the same time, and the last one wins; `sgenet history` shows both"
            )
        return entry

    def _note(
        self, state: State, kind: Kind, before: str | None, after: str | None, reason: str, evidence: str = ""
    ) -> ChampionMove:
        now = datetime.now(UTC)
        if state.entries:
            now = max(now, datetime.fromisoformat(state.entries[-1].at) + timedelta(milliseconds=1))
        at = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        entry = ChampionMove(
            kind=kind,
            before=before,
            after=after,
            at=at,
            by=user_name(),
            reason=reason[:_LONGEST_REASON],
            evidence=evidence,
        )
        value = {key: value for key, value in asdict(entry).items() if key != "at"}
        # A champion that was taken away is noted on the version that lost it.
        version = after or before
        with store_errors(f"the champion of {self.name} cannot be noted"):
            self._client.set_model_version_tag(self.name, version, _TAG + at, json.dumps(value, ensure_ascii=False))
            self._mark_runs(before, after)
        return entry

    def _mark_runs(self, before: str | None, after: str | None) -> None:
        """Move :data:`RUN_TAG` from the run of one version to that of another; a deleted run is passed over."""
        for version in filter(None, (before, after)):
            with suppress(MlflowException):
                run = self._client.get_run(self._client.get_model_version(self.name, version).run_id or "")
                if version == after:
                    self._client.set_tag(run.info.run_id, RUN_TAG, f"version {version} of {self.name}")
                elif RUN_TAG in run.data.tags:
                    self._client.delete_tag(run.info.run_id, RUN_TAG)


def shown(version: str | None) -> str:
    """A version in a sentence."""
    return "no version" if version is None else f"version {version}"
