"""Who is champion: a journal that decides, and the alias that follows it.

The last entry of the :mod:`journal <pipelines.registry.journal>` says who is champion. To move
``champion``, a process writes the next entry (of several that try, one succeeds), lets the alias follow,
reads both again, and notes that they agree. A process that is killed in between leaves an entry whose
alias has not followed; whoever comes next lets it follow. An alias that was moved past this module gets
an entry, too, so that the history tells what was.
"""

from __future__ import annotations

import getpass
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Literal

from mlflow.exceptions import MlflowException

from pipelines.registry.journal import Journal
from pipelines.tracking.address import (
    TrackingError,
    check_reachable,
    one_at_a_time,
    open_client,
    tracking_uri,
    without_secrets,
)

CHAMPION = "champion"

_ATTEMPTS = 10
_LONGEST_REASON = 1000

Kind = Literal["promotion", "rollback", "outside"]


class OvertakenError(TrackingError):
    """Another process moved ``champion`` since the state was read that this move was based on."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One move of ``champion``.

    Attributes:
        kind: what moved it; ``outside``: something other than this project's commands.
        before, after: versions; None for no champion.
        at: when, UTC.
        by: the user who ran the command.
        reason: in words.
        evidence: address of the decision's table; empty where there is none.
        nonce: tells two equal moves apart.
    """

    kind: Kind
    before: str | None
    after: str | None
    at: str
    by: str
    reason: str
    evidence: str = ""
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class State:
    """What the journal and the alias say, read together.

    Attributes:
        entries: all moves, in order.
        alias: the version that ``champion`` points at; None where it points at none.
        settled: whether the alias was seen to follow the last entry.
    """

    entries: tuple[Entry, ...]
    alias: str | None
    settled: bool

    @property
    def recorded(self) -> str | None:
        """The champion by the journal."""
        return self.entries[-1].after if self.entries else None

    @property
    def unfinished(self) -> bool:
        """The last move was cut off before the alias followed."""
        return not self.settled and bool(self.entries) and self.alias == self.entries[-1].before

    @property
    def moved_outside(self) -> bool:
        """The alias points where no entry sent it."""
        return self.alias != self.recorded and not self.unfinished

    @property
    def champion(self) -> str | None:
        """The version that is champion, once an unfinished move is finished."""
        return self.recorded if self.unfinished else self.alias

    @property
    def previous(self) -> list[str]:
        """Earlier champions, the one to go back to last: a rollback takes back one promotion."""
        stack: list[str] = []
        for entry in self.entries:
            if entry.kind == "rollback" and entry.after in stack:
                del stack[stack.index(entry.after) + 1 :]
            elif entry.after is not None and entry.after not in stack[-1:]:
                stack.append(entry.after)
        return stack[:-1] if stack[-1:] == [self.champion] else stack


class Champions:
    """The champions of one registered model. Every method raises a TrackingError where the store cannot be used.

    Args:
        name: of the registered model.
        address: of the store; by default what :func:`pipelines.tracking.address.tracking_uri` says.
    """

    def __init__(self, name: str, address: str | None = None) -> None:
        self.name = name
        self.address = address or tracking_uri()
        check_reachable(self.address, must_exist=True)
        self._client = open_client(self.address)
        self._journal = Journal(self._client, name)

    def look(self) -> State:
        """Read journal and alias; nothing is changed."""
        with self._explained():
            for _ in range(_ATTEMPTS):
                first, second = self._read(), self._read()
                if first == second:
                    return first
        raise TrackingError(f"the champion of {self.name} changes faster than it can be read; run this again")

    def put_right(self) -> State:
        """Finish a move that was cut off, and record one that was made outside; then :meth:`look`."""
        state = self.look()
        if not state.unfinished and not state.moved_outside and state.settled:
            return state
        with self._explained():
            self._journal.prepare()
        with self._explained(), one_at_a_time(self.address):
            state = self.look()
            if state.moved_outside:
                reason = f"found at {_version(state.alias)} instead of {_version(state.recorded)}"
                self._append(state, "outside", state.alias, reason)
                self._follow()
            elif not state.settled:
                self._follow()
        return self.look()

    def move(self, state: State, kind: Kind, after: str, reason: str, evidence: str = "") -> Entry:
        """Make another version champion, if the state is still what it was.

        Args:
            state: as :meth:`put_right` gave it, and the decision was based on.
            kind, after, reason, evidence: see :class:`Entry`.

        Raises:
            OvertakenError: another process was faster; ``champion`` is where that one put it.
            TrackingError: also when the alias does not stay where it was put.
        """
        with self._explained():
            self._journal.prepare()
        with self._explained(), one_at_a_time(self.address):
            now = self.look()
            if now.entries != state.entries or now.alias != state.alias:
                raise self._overtaken()
            entry = self._append(state, kind, after, reason, evidence)
            self._follow()
            return entry

    def _append(self, state: State, kind: Kind, after: str | None, reason: str, evidence: str = "") -> Entry:
        before = state.recorded if kind == "outside" else state.champion
        entry = Entry(
            kind=kind,
            before=before,
            after=after,
            at=_now(),
            by=_user(),
            reason=reason[:_LONGEST_REASON],
            evidence=evidence,
        )
        if not self._journal.append(len(state.entries) + 1, asdict(entry)):
            raise self._overtaken()
        return entry

    def _follow(self) -> None:
        """Let the alias follow the last entry, whosever it is, until both agree when read again."""
        for _ in range(_ATTEMPTS):
            before = self._read()
            if before.alias != before.recorded:
                self._set_alias(before.recorded)
            found = self._read()
            if found.entries == before.entries and found.alias == found.recorded:
                self._journal.settle(len(found.entries), _now())
                return
        raise TrackingError(
            f"{self.name}@{CHAMPION} does not stay at the version it is set to: something else moves it; "
            "stop that, and run this again"
        )

    def _set_alias(self, version: str | None) -> None:
        if version is None:
            self._client.delete_registered_model_alias(self.name, CHAMPION)
        else:
            self._client.set_registered_model_alias(self.name, CHAMPION, version)

    def _read(self) -> State:
        entries, settled = self._journal.read()
        aliases = self._client.get_registered_model(self.name).aliases
        alias = str(aliases[CHAMPION]) if CHAMPION in aliases else None
        return State(tuple(Entry(**entry) for entry in entries), alias, settled)

    def _overtaken(self) -> OvertakenError:
        state = self.look()
        last = state.entries[-1] if state.entries else None
        how = f" ({last.kind} by {last.by} at {last.at})" if last else ""
        return OvertakenError(
            f"another process moved {self.name}@{CHAMPION} meanwhile: it is now {_version(state.champion)}{how}, and "
            "this decision was about the one before; run this again to decide about the new one"
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except MlflowException as error:
            raise TrackingError(
                f"the champion of {self.name} cannot be read or moved in {without_secrets(self.address)} "
                f"({str(error).splitlines()[0]}); check the model's name and the tracking store"
            ) from error


def _version(version: str | None) -> str:
    return "no version" if version is None else f"version {version}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"
