"""``champion`` by alias and tags: moved by several at once, by hand, back, and read back after each move."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from mlflow import MlflowClient
from mlflow_store import make_store

from pipelines.registry.champions import ChampionMove, Champions, OvertakenError


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_store(tmp_path_factory.mktemp("champions"))


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


def test_a_move_is_noted_on_its_version_with_who_when_why_evidence_and_previous(client: MlflowClient) -> None:
    champions = new_model(client, "noted")
    champions.move("promotion", "1", "the first")
    entry = champions.move("promotion", "2", "sharper", "runs:/abc/promotion")
    assert (entry.before, entry.after, entry.reason, entry.evidence) == ("1", "2", "sharper", "runs:/abc/promotion")
    assert entry.by
    tags = client.get_model_version("noted", "2").tags
    assert list(tags) == [f"champion.{entry.at}"]
    assert champions.look().entries[-1] == entry
    assert champions.look().champion == "2"


def test_the_run_of_the_champion_is_marked_as_such_and_no_other(client: MlflowClient) -> None:
    runs = [client.create_run("0").info.run_id for _ in range(2)]
    client.create_registered_model("marked")
    for run_id in runs:
        client.create_model_version("marked", f"runs:/{run_id}/model", run_id)
    champions = Champions("marked")

    def marks() -> list[str | None]:
        return [client.get_run(run_id).data.tags.get("champion") for run_id in runs]

    champions.move("promotion", "1", "the first")
    champions.move("promotion", "2", "sharper")
    assert marks() == [None, "version 2 of marked"]
    client.set_registered_model_alias("marked", "champion", "1")
    champions.note_outside()
    assert marks() == ["version 1 of marked", None]
    client.delete_registered_model_alias("marked", "champion")
    champions.note_outside()
    assert marks() == [None, None]
    client.delete_run(runs[1])
    champions.move("promotion", "2", "its run is deleted")
    assert champions.look().champion == "2"


def test_moves_keep_their_order_where_a_clock_was_set_back(client: MlflowClient) -> None:
    champions = new_model(client, "clock")
    first = champions.move("promotion", "1", "by a clock that is fast")
    value = client.get_model_version("clock", "1").tags[f"champion.{first.at}"]
    client.delete_model_version_tag("clock", "1", f"champion.{first.at}")
    client.set_model_version_tag("clock", "1", "champion.2999-01-01T00:00:00.999Z", value)
    second = champions.move("promotion", "2", "by a clock that is right")
    assert second.at == "2999-01-01T00:00:01.000Z"
    state = champions.note_outside()
    assert [entry.after for entry in state.entries] == ["1", "2"]
    assert state.previous == ["1"]


def test_of_several_moves_at_once_the_last_one_stands_and_all_are_noted(client: MlflowClient) -> None:
    champions = new_model(client, "race")

    def move(version: str) -> ChampionMove | OvertakenError:
        try:
            return Champions("race").move("promotion", version, f"from {version}")
        except OvertakenError as error:
            return error

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(move, ("1", "2", "3")))
    state = champions.look()
    assert sorted(entry.reason for entry in state.entries) == ["from 1", "from 2", "from 3"]
    assert state.champion in ("1", "2", "3")
    # Who was told that it stands may have been followed by another, but the last of all was not.
    assert any(isinstance(result, ChampionMove) and result.after == state.champion for result in results)
    for result in results:
        if isinstance(result, OvertakenError):
            assert "the last one wins" in str(result)


def test_an_alias_moved_by_hand_is_obeyed_and_noted(client: MlflowClient) -> None:
    champions = new_model(client, "by-hand")
    champions.move("promotion", "1", "by the gate")
    client.set_registered_model_alias("by-hand", "champion", "3")
    assert champions.look().champion == "3"
    state = champions.note_outside()
    last = state.entries[-1]
    assert (last.kind, last.before, last.after) == ("outside", "1", "3")
    assert last.reason == "found at version 3 instead of version 1"
    assert (state.champion, state.previous) == ("3", ["1"])
    client.delete_registered_model_alias("by-hand", "champion")
    state = champions.note_outside()
    assert (state.champion, state.entries[-1].after) == (None, None)
    assert champions.note_outside() == state


def test_rollbacks_take_back_one_promotion_each(client: MlflowClient) -> None:
    champions = new_model(client, "back")
    for version in ("1", "2", "3"):
        champions.move("promotion", version, "")
    seen = []
    for _ in range(2):
        champions.move("rollback", champions.look().previous[-1], "")
        seen.append(champions.look().champion)
    assert seen == ["2", "1"]
    assert champions.look().previous == []
    champions.move("promotion", "4", "")
    assert champions.look().previous == ["1"]


def test_an_alias_that_does_not_stay_is_said(client: MlflowClient, monkeypatch: pytest.MonkeyPatch) -> None:
    champions = new_model(client, "slippery")
    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", lambda *arguments: None)
    with pytest.raises(OvertakenError, match="version 1 of slippery was made champion, but the alias is now at no"):
        champions.move("promotion", "1", "")


def test_a_model_registered_anew_under_its_old_name_has_a_history_of_its_own(client: MlflowClient) -> None:
    new_model(client, "reborn").move("promotion", "1", "")
    client.delete_registered_model("reborn")
    assert new_model(client, "reborn").look().entries == ()
