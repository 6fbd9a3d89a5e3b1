"""The votes of a study in one SQLite file: a vote that was acknowledged is on the disk."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgenet.errors import DataError

if TYPE_CHECKING:
    from pipelines.report.study.plan import Pair

_VERSION = 1
_TIMEOUT = 30
"""Seconds to wait for another process that writes."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pairs (
    pair TEXT PRIMARY KEY,
    mask_set TEXT NOT NULL,
    image TEXT NOT NULL,
    stratum TEXT NOT NULL,
    first TEXT NOT NULL,
    second TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS votes (
    voter TEXT NOT NULL,
    pair TEXT NOT NULL REFERENCES pairs (pair),
    choice TEXT NOT NULL CHECK (choice IN ('first', 'second', 'tie')),
    on_left TEXT NOT NULL CHECK (on_left IN ('first', 'second')),
    at TEXT NOT NULL,
    UNIQUE (voter, pair)
);
"""


class Choice(StrEnum):
    """What somebody answered: the pair's first method, its second, or that they cannot tell."""

    FIRST = "first"
    SECOND = "second"
    TIE = "tie"


@dataclass(frozen=True)
class Vote:
    """One answer.

    Attributes:
        voter: a hash of the random number that the person's browser keeps.
        pair: key of the pair.
        on_left: which method of the pair was on the left.
    """

    voter: str
    pair: str
    choice: Choice
    on_left: Choice


class VoteBox:
    """An open file of votes, for any number of threads; any number of processes may have it open.

    Args:
        path: of the file; made where there is none.

    Raises:
        DataError: it cannot be opened, or is something else.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=_TIMEOUT, isolation_level=None, check_same_thread=False)
            self._prepare()
        except (OSError, sqlite3.Error) as error:
            raise DataError(f"votes cannot be kept in {path} ({error}); choose another file with --votes") from None

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def know(self, pairs: Iterable[Pair]) -> None:
        """Note what pairs are, so that the file says by itself what was voted on."""
        rows = [(pair.key, pair.mask_set, pair.image, pair.stratum, pair.first, pair.second) for pair in pairs]
        with self._transaction():
            self._connection.executemany("INSERT OR IGNORE INTO pairs VALUES (?, ?, ?, ?, ?, ?)", rows)

    def record(self, vote: Vote) -> Choice:
        """Store a vote, on the disk when this returns.

        Returns:
            The answer that counts, which is the person's first one on this pair.

        Raises:
            sqlite3.Error: it could not be stored.
        """
        row = (vote.voter, vote.pair, vote.choice, vote.on_left, datetime.now(UTC).isoformat(timespec="seconds"))
        with self._lock:
            self._connection.execute(
                "INSERT INTO votes VALUES (?, ?, ?, ?, ?) ON CONFLICT (voter, pair) DO NOTHING", row
            )
            found = self._connection.execute(
                "SELECT choice FROM votes WHERE voter = ? AND pair = ?", (vote.voter, vote.pair)
            ).fetchone()
        return Choice(found[0])

    def answered(self, voter: str) -> set[str]:
        """Keys of the pairs that a person has answered."""
        return {pair for (pair,) in self._all("SELECT pair FROM votes WHERE voter = ?", voter)}

    def counts(self) -> dict[str, int]:
        """How many votes every pair has; pairs without are absent."""
        return dict(self._all("SELECT pair, COUNT(*) FROM votes GROUP BY pair"))

    def all(self) -> list[Vote]:
        """Every vote, in the order they came."""
        rows = self._all("SELECT voter, pair, choice, on_left FROM votes ORDER BY rowid")
        return [Vote(voter, pair, Choice(choice), Choice(on_left)) for voter, pair, choice, on_left in rows]

    def _all(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def _prepare(self) -> None:
        execute = self._connection.execute
        # A vote outlives a power cut: every commit is flushed.
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA foreign_keys = ON")
        with self._transaction():
            version = execute("PRAGMA user_version").fetchone()[0]
            holds_tables = execute("SELECT 1 FROM sqlite_master").fetchone() is not None
            if version not in (0, _VERSION) or (version == 0 and holds_tables):
                raise sqlite3.DatabaseError("it is a database of something else")
            for statement in filter(str.strip, _SCHEMA.split(";")):
                execute(statement)
            execute(f"PRAGMA user_version = {_VERSION}")

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            # Immediate: a transaction that starts as a reader could not wait for another writer.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
