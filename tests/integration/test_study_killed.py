"""Many people vote at two servers, and one is killed in the middle: no vote that was acknowledged is lost."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from fabricated_runs import COUNT, DATASET, fabricate_runs
from study_server import Person, start_study

from pipelines.__main__ import main
from pipelines.report.study.votes import VoteBox
from pipelines.settings.layout import StudyPaths

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PEOPLE = 8
PAIRS = 36
ROOT = Path(__file__).resolve().parents[2]


def test_a_killed_server_loses_no_acknowledged_vote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fabricate_runs(tmp_path, COUNT)
    killed, first_port = start_study(tmp_path)
    other, second_port = start_study(tmp_path)
    people = [Person(port) for port in (first_port, second_port) for _ in range(PEOPLE // 2)]

    def vote(person: Person) -> None:
        try:
            person.vote_until_done()
        except (OSError, http.client.HTTPException):
            assert person.port == first_port, "the other server has no reason to fail"

    threads = [threading.Thread(target=vote, args=(person,)) for person in people]
    for thread in threads:
        thread.start()
    of_killed = people[: PEOPLE // 2]
    while sum(len(person.acknowledged) for person in of_killed) < 20:
        time.sleep(0.001)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait(30)
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    cut_off = [person for person in of_killed if len(person.acknowledged) < PAIRS]
    assert cut_off, "the server was killed after everybody had finished: this run shows nothing"
    assert [len(person.acknowledged) for person in people[PEOPLE // 2 :]] == [PAIRS] * (PEOPLE // 2)

    # A vote that was stored, but whose acknowledgement was cut off, may be there as well: at most one a person.
    for person in of_killed:
        person.port = second_port
        stored = person.ask()["answered"]
        assert stored - len(person.acknowledged) in (0, 1)
    for person in cut_off:
        assert person.vote_until_done()["answered"] == PAIRS
    other.send_signal(signal.SIGINT)
    assert other.wait(60) == 130

    monkeypatch.chdir(tmp_path)
    box = VoteBox(StudyPaths(DATASET).votes)
    assert len(box.all()) == PEOPLE * PAIRS
    assert set(box.counts().values()) == {PEOPLE}
    box.close()
    assert main(["study", "--params", str(ROOT / "params.yaml"), "--results"]) == 0
    assert f"{PEOPLE} people, {PEOPLE * PAIRS} answers" in capsys.readouterr().out
