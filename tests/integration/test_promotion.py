"""``champion`` moves only to a better model, whatever happens meanwhile, and the registry remembers why."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow_store import make_store
from promotion_world import DATASET, NAME, World, add_version, make_world

from pipelines.__main__ import main
from pipelines.registry.champions import Champions
from pipelines.registry.gate import gate
from pipelines.registry.gate import promote as promoting
from pipelines.registry.history import default_model
from pipelines.settings.layout import DatasetPaths
from pipelines.stages import baselines

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("promotion")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("MLFLOW_TRACKING_URI", make_store(root))
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        yield make_world(root)
    mlflow.set_tracking_uri(None)


@pytest.fixture(autouse=True)
def here(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(world.root)


Answer = dict[str, Any]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command with ``--json``; its exit status, its answer, and what it said beside it."""

    def run(*arguments: str) -> tuple[int, Answer, str]:
        capsys.readouterr()
        status = main([*arguments, "--json"])
        printed = capsys.readouterr()
        return status, json.loads(printed.out) if printed.out else {}, printed.err

    return run


def with_champion(world: World, ask: Any, name: str, *levels: int) -> str:
    """A registered model with versions that paint these levels, the first one the champion."""
    world.model(name, *levels)
    assert ask("promote", "--model", name, "--challenger", "1")[0] == 0
    return name


def test_a_first_champion_must_beat_the_baseline(world: World, ask: Any) -> None:
    name = world.model("first", 120)
    status, answer, said = ask("promote", "--model", name)
    assert status == 0
    assert (answer["opponent"], world.champion(name)) == ("the baseline mean_colour", "1")
    assert "the baseline mean_colour has no scores" in said
    assert "there is no champion yet" in answer["decision"]["reasons"][0]


def test_a_first_challenger_below_the_baseline_is_refused(world: World, ask: Any) -> None:
    # The known pixels' mean is about 85: 70 is further from the square's 200.
    add_version(world, 70)
    world.client.copy_model_version(f"models:/{NAME}@candidate", "below")
    world.client.set_registered_model_alias("below", "candidate", "1")
    status, answer, _ = ask("promote", "--model", "below")
    assert status == 3
    assert world.champion("below") is None
    assert "PSNR hole is not shown to be better" in answer["decision"]["reasons"][0]


def test_the_stage_baselines_spares_the_gate_its_work(
    world: World, ask: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = DatasetPaths(DATASET)
    baselines.run(world.settings, DATASET, paths.shards, paths.masks, paths.segmenter, paths.baselines)
    monkeypatch.setattr(gate, "evaluate_model", None)
    status, answer, said = ask("promote", "--model", world.model("baselines", 120))
    assert (status, answer["rescored_because"]) == (0, "")
    assert "evaluating" not in said


def test_a_better_challenger_replaces_the_champion_on_stored_scores(
    world: World, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = with_champion(world, ask, "better", 120, 180)
    monkeypatch.setattr(gate, "evaluate_model", None)
    status, answer, _ = ask("promote", "--model", name)
    assert (status, world.champion(name)) == (0, "2")
    assert (answer["opponent"], answer["rescored_because"]) == ("version 1", "")
    assert answer["decision"]["primary"]["comparison"]["improvement"]["low"] > 5
    assert answer["entry"]["before"] == "1"

    tags = world.client.get_model_version(name, "2").tags
    details = json.loads(tags["gate.details"])
    assert tags["gate.decision"] == "promote"
    assert details["primary"].startswith("psnr_hole +")
    stored = json.loads(mlflow.artifacts.load_text(f"{details['evidence']}/decision.json"))
    assert stored["decision"] == answer["decision"]
    table = mlflow.artifacts.load_text(f"{details['evidence']}/decision.md")
    assert "version 2 passes against version 1" in table
    assert "| PSNR hole ↑ | moderate |" in table


def test_a_worse_challenger_is_refused_and_the_refusal_is_kept(world: World, ask: Any) -> None:
    name = with_champion(world, ask, "worse", 180, 90)
    status, answer, _ = ask("promote", "--model", name)
    assert (status, world.champion(name), answer["entry"]) == (3, "1", None)
    tags = world.client.get_model_version(name, "2").tags
    details = json.loads(tags["gate.details"])
    assert (tags["gate.decision"], details["against"]) == ("refuse", "version 1")
    assert "PSNR hole is not shown to be better" in details["reasons"]
    assert "does not pass" in mlflow.artifacts.load_text(f"{details['evidence']}/decision.md")


def test_a_dry_run_prints_the_same_and_changes_nothing(world: World, ask: Any) -> None:
    name = world.model("dry", 120, 180, 90)
    before = everything(world)
    foretold = ask("promote", "--model", name, "--challenger", "1", "--dry-run")
    assert everything(world) == before
    first = ask("promote", "--model", name, "--challenger", "1")
    for status, answer, _ in (foretold, first):
        assert status == 0
        assert "no longer with the shipped model" in answer["sentence"]
    before = everything(world)
    passing = ask("promote", "--model", name, "--challenger", "2", "--dry-run")
    refused = ask("promote", "--model", name, "--dry-run")
    assert (passing[0], refused[0]) == (0, 3)
    assert "shipped" not in passing[1]["sentence"]
    assert everything(world) == before
    for version, foretold in (("3", refused), ("2", passing)):
        _, answer, _ = ask("promote", "--model", name, "--challenger", version)
        assert answer["decision"]["comparisons"] == foretold[1]["decision"]["comparisons"]
        assert answer["decision"]["reasons"] == foretold[1]["decision"]["reasons"]


def everything(world: World) -> tuple[list[str], str]:
    """All rows of the store, and a hash over all files beside it."""
    with closing(sqlite3.connect(world.root / "mlflow.db")) as store:
        rows = list(store.iterdump())
    digest = hashlib.sha256()
    for path in sorted(world.root.rglob("*")):
        if path.is_file() and not path.name.startswith("mlflow.db"):
            digest.update(str(path).encode() + path.read_bytes())
    return rows, digest.hexdigest()


def test_scores_of_other_metric_code_are_taken_anew_for_both(world: World, ask: Any) -> None:
    name = with_champion(world, ask, "anew", 120)
    add_version(world, 185, code_digest="other code")
    world.client.copy_model_version(f"models:/{NAME}@candidate", name)
    status, answer, said = ask("promote", "--model", name, "--challenger", "2")
    assert (status, world.champion(name)) == (0, "2")
    assert answer["rescored_because"] == "version 2 and version 1 were scored with different metric code"
    assert "evaluating version 2 and version 1 on the shards and masks of squares here" in said
    assert answer["identity"]["code_digest"] != "other code"


def test_altered_scores_are_not_believed(world: World, ask: Any) -> None:
    add_version(world, 100)
    version = world.client.get_model_version_by_alias(NAME, "candidate").version
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/{NAME}/{version}"))
    path = folder / "artifacts" / "evidence" / "evaluation.json"
    path.write_text(path.read_text().replace('"val"', '"train"'))
    name = with_champion(world, ask, "altered", 120)
    world.client.copy_model_version(f"models:/{NAME}/{version}", name)
    status, answer, _ = ask("promote", "--model", name, "--challenger", "2")
    assert status == 3
    assert answer["rescored_because"] == "the scores stored with version 2 have been altered"


def test_other_weights_than_the_registered_ones_are_refused(world: World, ask: Any) -> None:
    name = with_champion(world, ask, "swapped", 120, 180)
    digests = json.loads(world.client.get_model_version(name, "2").tags["digests"])
    world.client.set_model_version_tag(name, "2", "digests", json.dumps({**digests, "weights": "0" * 64}))
    status, answer, _ = ask("promote", "--model", name)
    assert (status, world.champion(name)) == (3, "1")
    assert answer["decision"]["reasons"][0].startswith("weights: SHA-256")


def test_of_two_promotions_at_once_both_decisions_are_kept_and_the_last_one_stands(
    world: World, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = with_champion(world, ask, "at-once", 120, 180, 90)
    real = promoting.judge

    def slow(*arguments: Any) -> Any:
        judgement = real(*arguments)
        Champions(name).move("promotion", "3", "faster")
        return judgement

    monkeypatch.setattr(promoting, "judge", slow)
    status, answer, _ = ask("promote", "--model", name, "--challenger", "2")
    assert (status, world.champion(name)) == (0, "2")
    assert "version 3 became champion meanwhile, and this was judged against version 1" in answer["sentence"]
    assert world.client.get_model_version(name, "2").tags["gate.decision"] == "promote"
    _, history, _ = ask("history", "--model", name)
    assert [(move["before"], move["after"]) for move in history["moves"]] == [(None, "1"), ("1", "3"), ("3", "2")]


def test_a_champion_set_by_hand_is_obeyed_and_in_the_history(world: World, ask: Any) -> None:
    name = with_champion(world, ask, "by-hand", 120, 180, 90)
    world.client.set_registered_model_alias(name, "champion", "2")
    _, history, _ = ask("history", "--model", name)
    assert history["champion"] == "2"
    assert "was changed elsewhere, such as in the MLflow UI, which counts" in history["note"]
    status, answer, said = ask("promote", "--model", name)
    assert (status, answer["opponent"], world.champion(name)) == (3, "version 2", "2")
    assert "was changed elsewhere" in said
    _, history, _ = ask("history", "--model", name)
    assert [(move["kind"], move["before"], move["after"]) for move in history["moves"]] == [
        ("promotion", None, "1"),
        ("outside", "1", "2"),
    ]
    assert history["note"] == ""


def test_promoting_the_champion_again_does_nothing(world: World, ask: Any) -> None:
    name = with_champion(world, ask, "again", 120)
    before = everything(world)
    status, answer, _ = ask("promote", "--model", name)
    assert (status, answer["sentence"]) == (0, "version 1 of again is the champion already")
    assert everything(world) == before


def test_rollback_goes_back_one_promotion_and_history_tells_all(world: World, ask: Any) -> None:
    name = world.model("back", 120, 180)
    assert ask("rollback", "--model", name)[0] == 2
    for version in ("1", "2"):
        assert ask("promote", "--model", name, "--challenger", version)[0] == 0
    before = everything(world)
    assert ask("rollback", "--model", name, "--dry-run")[0] == 0
    assert everything(world) == before
    status, answer, _ = ask("rollback", "--model", name, "--reason", "blurs faces")
    assert (status, answer["before"], answer["after"], world.champion(name)) == (0, "2", "1", "1")

    status, history, _ = ask("history", "--model", name)
    moves = [(move["kind"], move["before"], move["after"]) for move in history["moves"]]
    assert moves == [("promotion", None, "1"), ("promotion", "1", "2"), ("rollback", "2", "1")]
    assert history["moves"][2]["reason"] == "blurs faces"
    assert "PSNR hole is better" in history["moves"][1]["reason"]
    assert history["moves"][1]["evidence"].startswith("runs:/")
    assert (history["champion"], history["note"]) == ("1", "")


def test_the_tables_for_people_show_scores_strata_checks_and_reasons(
    world: World, ask: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    name = with_champion(world, ask, "people", 120, 180)
    assert main(["promote", "--model", name]) == 0
    printed = capsys.readouterr().out
    for words in ("version 2 against version 1", "known pixels", "Holes: small", "moderate (", "promoted: version 2"):
        assert words in printed
    # A path is whole, however long it is.
    assert max(len(line) for line in printed.splitlines() if not line.startswith("the whole table: ")) <= 100
    assert main(["history", "--model", name]) == 0
    printed = capsys.readouterr().out
    assert "people: version 2 is champion" in printed
    assert "1 → 2" in printed
    assert f"history --full --model {name}" in printed
    assert main(["history", "--model", name, "--full"]) == 0
    printed = capsys.readouterr().out
    assert "# people: version 1 passes against the baseline mean_colour" in printed
    assert "# people: version 2 passes against version 1" in printed
    assert "| PSNR hole ↑ | moderate |" in printed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "nobody"], "there is no registered model 'nobody'"),
        (["--model", NAME, "--challenger", "nobody"], "has no alias 'nobody'"),
        (["--model", NAME, "--challenger", "99"], "has no version 99"),
    ],
)
def test_what_is_not_there_is_named(world: World, ask: Any, arguments: list[str], words: str) -> None:
    status, _, said = ask("promote", *arguments)
    assert status == 2
    assert words in said


def test_a_dataset_the_settings_do_not_describe_is_named(world: World, ask: Any) -> None:
    name = world.model("elsewhere", 120)
    world.client.set_model_version_tag(name, "1", "dataset", "cities")
    status, _, said = ask("promote", "--model", name)
    assert status == 2
    assert "a model of the dataset 'cities', which params.yaml does not describe (data: squares)" in said


def test_the_model_of_the_only_dataset_is_the_default(world: World) -> None:
    assert default_model(world.settings) == NAME
