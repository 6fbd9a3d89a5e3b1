"""Several processes move ``champion`` at once, or die while they do: one wins, the others are told, nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow_server import TrackingServer

from pipelines.registry.champions import Champions, OvertakenError
from sgenet.errors import UserError

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("race_promotion.py")
MODELS, ROUNDS = 3, 3


@pytest.fixture(scope="module", params=["sqlite", "server"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a tracking store: a file, and a server with two processes."""
    root = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        file = f"sqlite:///{root / 'mlflow.db'}"
        MlflowClient(file).search_experiments()  # makes the tables
        yield file
        return
    server = TrackingServer(root, workers=2)
    try:
        server.start()
        yield server.address
    finally:
        server.kill()


@pytest.fixture
def client(store: str, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    return MlflowClient(store, store)


def new_model(client: MlflowClient, name: str, versions: int = 4) -> Champions:
    run_id = client.create_run("0").info.run_id
    client.create_registered_model(name)
    for _ in range(versions):
        client.create_model_version(name, f"runs:/{run_id}/model", run_id)
    return Champions(name)


class Racer:
    """The script, running."""

    def __init__(self, store: str, version: str) -> None:
        environment = {**os.environ, "MLFLOW_TRACKING_URI": store, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(SCRIPT), version]
        pipe = subprocess.PIPE
        self.version = version
        self.process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True)

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@contextmanager
def racers(store: str, *versions: str) -> Iterator[list[Racer]]:
    started = [Racer(store, version) for version in versions]
    try:
        yield started
    finally:
        for racer in started:
            racer.process.kill()
            racer.process.communicate()


def consistent(champions: Champions) -> bool:
    """Every move starts where the one before ended, and the alias is where the last one sent it."""
    state = champions.look()
    ends = [None, *(entry.after for entry in state.entries)]
    links = all(entry.before == end for entry, end in zip(state.entries, ends, strict=False))
    return links and state.settled and state.alias == state.recorded


def test_of_several_promotions_at_once_exactly_one_wins(client: MlflowClient, store: str) -> None:
    with racers(store, "1", "2", "3") as started:
        for number in range(MODELS):
            champions = new_model(client, f"race-{number}")
            for played in range(ROUNDS):
                for command in (f"ready {champions.name}", "go"):
                    for racer in started:
                        racer.tell(command)
                    answers = [racer.answer() for racer in started]
                winners = [racer.version for racer, answer in zip(started, answers, strict=True) if answer == "won"]
                assert len(winners) == 1, answers
                told = [answer for answer in answers if answer != "won"]
                assert all(f"it is now version {winners[0]} (promotion by" in answer for answer in told), answers
                state = champions.look()
                assert (state.alias, len(state.entries)) == (winners[0], played + 1)
                assert consistent(champions)


def test_a_promotion_killed_before_the_alias_follows_is_finished_by_the_next(client: MlflowClient, store: str) -> None:
    champions = new_model(client, "killed")
    champions.move(champions.put_right(), "promotion", "1", "the first")
    with racers(store, "2") as (racer,):
        racer.tell("die killed")
        assert racer.answer() == ""
        assert racer.process.wait(timeout=60) == -signal.SIGKILL
    cut_off = champions.look()
    assert (cut_off.alias, cut_off.recorded, cut_off.champion, cut_off.unfinished) == ("1", "2", "2", True)

    state = champions.put_right()
    assert (state.alias, state.unfinished) == ("2", False)
    assert consistent(champions)
    champions.move(state, "promotion", "3", "goes on")
    assert [entry.after for entry in champions.look().entries] == ["1", "2", "3"]


def test_a_decision_about_an_earlier_champion_moves_nothing(client: MlflowClient, store: str) -> None:
    champions = new_model(client, "stale")
    early = champions.put_right()
    champions.move(early, "promotion", "1", "first come")
    with pytest.raises(OvertakenError, match="it is now version 1"):
        Champions("stale").move(early, "promotion", "2", "too late")
    assert champions.look().alias == "1"
    assert len(champions.look().entries) == 1


def test_an_alias_moved_by_hand_is_recorded_and_respected(client: MlflowClient, store: str) -> None:
    champions = new_model(client, "by-hand")
    champions.move(champions.put_right(), "promotion", "1", "by the gate")
    client.set_registered_model_alias("by-hand", "champion", "3")
    found = champions.look()
    assert (found.champion, found.moved_outside) == ("3", True)
    state = champions.put_right()
    last = state.entries[-1]
    assert (last.kind, last.before, last.after) == ("outside", "1", "3")
    assert last.reason == "found at version 3 instead of version 1"
    assert (state.alias, state.previous) == ("3", ["1"])
    client.delete_registered_model_alias("by-hand", "champion")
    assert champions.put_right().entries[-1].after is None
    assert consistent(champions)


def test_rollbacks_take_back_one_promotion_each(client: MlflowClient, store: str) -> None:
    champions = new_model(client, "back")
    for version in ("1", "2", "3"):
        champions.move(champions.put_right(), "promotion", version, "")
    seen = []
    for _ in range(2):
        state = champions.put_right()
        champions.move(state, "rollback", state.previous[-1], "")
        seen.append(champions.look().alias)
    assert seen == ["2", "1"]
    assert champions.look().previous == []
    champions.move(champions.look(), "promotion", "4", "")
    assert champions.look().previous == ["1"]


def test_an_alias_that_does_not_stay_is_an_error(
    client: MlflowClient, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    champions = new_model(client, "slippery")
    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", lambda *arguments: None)
    with pytest.raises(UserError, match="slippery@champion does not stay at the version it is set to"):
        champions.move(champions.put_right(), "promotion", "1", "")
    monkeypatch.undo()


def test_looking_leaves_no_trace(client: MlflowClient, store: str) -> None:
    champions = new_model(client, "looked-at")
    champions.look()
    assert not client.get_registered_model("looked-at").tags
    experiment = client.get_experiment_by_name("registry")
    runs = client.search_runs([experiment.experiment_id]) if experiment else []
    assert "champions of looked-at" not in [run.info.run_name for run in runs]


def test_a_model_registered_anew_under_its_old_name_has_a_history_of_its_own(client: MlflowClient, store: str) -> None:
    champions = new_model(client, "reborn")
    champions.move(champions.put_right(), "promotion", "1", "")
    run_id = client.get_model_version("reborn", "1").run_id
    client.delete_registered_model("reborn")
    client.create_registered_model("reborn")
    client.create_model_version("reborn", f"runs:/{run_id}/model", run_id)
    assert Champions("reborn").look().entries == ()
