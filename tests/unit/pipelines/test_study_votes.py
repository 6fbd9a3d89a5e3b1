"""The file of votes: one a pair a person, from many processes at once, and on the disk when it is acknowledged."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.report.study.plan import Pair
from pipelines.report.study.votes import Choice, Vote, VoteBox
from sgenet.errors import DataError

PAIRS = [Pair(f"pair {n}", "centre", f"image {n}", "low", "sge_net", "telea", "c", "a", "b") for n in range(20)]

VOTES_FROM_A_PROCESS = """
import sys
from pathlib import Path
from types import SimpleNamespace
from pipelines.report.study.votes import Choice, Vote, VoteBox
# No Pair: what defines it imports PyTorch, and four processes of that would be slow.
PAIRS = [
    SimpleNamespace(key=f"pair {n}", mask_set="centre", image="p", stratum="low", first="a", second="b")
    for n in range(20)
]
box = VoteBox(Path(sys.argv[1]))
box.know(PAIRS)
print("ready", flush=True)
sys.stdin.readline()
for voter in ("everybody", sys.argv[2]):
    for pair in PAIRS:
        box.record(Vote(voter, pair.key, Choice.FIRST, Choice.FIRST))
"""

VOTES_FOR_EVER = """
import itertools, sys
from pathlib import Path
from types import SimpleNamespace
from pipelines.report.study.votes import Choice, Vote, VoteBox
box = VoteBox(Path(sys.argv[1]))
box.know([SimpleNamespace(key="pair", mask_set="centre", image="p", stratum="low", first="a", second="b")])
for number in itertools.count():
    box.record(Vote(str(number), "pair", Choice.TIE, Choice.FIRST))
    print(number, flush=True)
"""


def vote(voter: str, pair: str, choice: Choice, on_left: Choice = Choice.FIRST) -> Vote:
    return Vote(voter, pair, choice, on_left)


@pytest.fixture
def box(tmp_path: Path) -> VoteBox:
    box = VoteBox(tmp_path / "study" / "votes.sqlite")
    box.know(PAIRS)
    return box


def test_the_first_answer_of_a_person_counts_and_others_have_their_own(box: VoteBox) -> None:
    assert box.record(vote("a", "pair 1", Choice.FIRST)) is Choice.FIRST
    assert box.record(vote("a", "pair 1", Choice.TIE)) is Choice.FIRST
    assert box.record(vote("b", "pair 1", Choice.SECOND, Choice.SECOND)) is Choice.SECOND
    assert box.all() == [
        Vote("a", "pair 1", Choice.FIRST, Choice.FIRST),
        Vote("b", "pair 1", Choice.SECOND, Choice.SECOND),
    ]
    assert box.answered("a") == {"pair 1"}
    assert box.counts() == {"pair 1": 2}


def test_an_acknowledged_vote_is_committed_and_flushed(box: VoteBox, tmp_path: Path) -> None:
    """Seen by another connection at once; ``synchronous`` 2 is FULL: SQLite flushes every commit to the disk."""
    box.record(vote("a", "pair 1", Choice.TIE))
    with closing(sqlite3.connect(tmp_path / "study" / "votes.sqlite")) as other:
        assert other.execute("SELECT voter, choice FROM votes").fetchall() == [("a", "tie")]
    assert box._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_the_file_says_by_itself_what_was_voted_on(box: VoteBox, tmp_path: Path) -> None:
    box.record(vote("a", "pair 7", Choice.SECOND))
    with closing(sqlite3.connect(tmp_path / "study" / "votes.sqlite")) as other:
        found = other.execute(
            "SELECT mask_set, image, stratum, first, second, choice FROM votes JOIN pairs USING (pair)"
        ).fetchall()
    assert found == [("centre", "image 7", "low", "sge_net", "telea", "second")]


def test_a_vote_on_no_pair_is_not_stored(box: VoteBox) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        box.record(vote("a", "another pair", Choice.FIRST))
    assert box.all() == []


def test_a_file_of_the_study_before_is_read(box: VoteBox, tmp_path: Path) -> None:
    """It has a table more, with a secret that pages had their ids from."""
    box.record(vote("a", "pair 1", Choice.FIRST))
    with closing(sqlite3.connect(tmp_path / "study" / "votes.sqlite")) as other:
        other.execute("CREATE TABLE study (one INTEGER PRIMARY KEY, secret BLOB NOT NULL)")
        other.execute("INSERT INTO study VALUES (1, x'00')")
        other.commit()
    again = VoteBox(tmp_path / "study" / "votes.sqlite")
    assert again.record(vote("b", "pair 1", Choice.TIE)) is Choice.TIE
    assert len(again.all()) == 2


def test_a_killed_process_loses_no_acknowledged_vote(tmp_path: Path) -> None:
    path = tmp_path / "votes.sqlite"
    process = subprocess.Popen([sys.executable, "-c", VOTES_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    acknowledged = [process.stdout.readline().strip() for _ in range(50)]
    process.kill()
    acknowledged += process.stdout.read().split()
    process.wait(30)
    stored = [vote.voter for vote in VoteBox(path).all()]
    assert stored[: len(acknowledged)] == acknowledged
    assert len(stored) - len(acknowledged) <= 1, "one may be stored whose acknowledgement was cut off"


def test_threads_that_vote_at_once_lose_nothing(box: VoteBox) -> None:
    def person(number: int) -> list[Choice]:
        return [box.record(vote(f"voter {number % 4}", pair.key, Choice.FIRST)) for pair in PAIRS]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(person, range(8)))
    assert answers == [[Choice.FIRST] * len(PAIRS)] * 8
    assert box.counts() == {pair.key: 4 for pair in PAIRS}


def test_processes_that_make_one_file_and_vote_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "votes.sqlite"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", VOTES_FROM_A_PROCESS, str(path), f"voter {number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.wait(60) for process in processes] == [0] * 4
    box = VoteBox(path)
    assert box.counts() == {pair.key: 5 for pair in PAIRS}
    assert all(len(box.answered(voter)) == len(PAIRS) for voter in ("everybody", *map("voter {}".format, range(4))))


@pytest.mark.parametrize("kind", ["text", "database"])
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "other"
    if kind == "text":
        path.write_text("no database, but long enough to be taken for the first page of one " * 20)
    else:
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE mine (value)")
    before = path.read_bytes()
    with pytest.raises(DataError, match=rf"votes cannot be kept in {path} \(.*\); choose another file with --votes"):
        VoteBox(path)
    assert path.read_bytes() == before
