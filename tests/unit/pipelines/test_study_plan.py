"""What a study asks: every two methods on every image, in an order of one's own, all equally often."""

from __future__ import annotations

import json
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest
from fabricated_runs import COUNT, DATASET, ERRORS, KEYS, fabricate_runs
from PIL import Image

from pipelines.evaluation.images import image_path
from pipelines.report.collect import DatasetResults, collect_dataset
from pipelines.report.study.plan import Plan, first_stands_left, make_plan, next_pair
from pipelines.settings.layout import RunPaths
from pipelines.settings.load import load
from sgenet.errors import DataError

SETTINGS = load(Path(__file__).resolve().parents[3] / "params.yaml")
SGE_NET = RunPaths(DATASET, "sge_net").evaluation


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fabricate_runs(tmp_path, COUNT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def results(folder: Path) -> DatasetResults:
    return collect_dataset(SETTINGS, DATASET)


@pytest.fixture
def plan(results: DatasetResults) -> Plan:
    return make_plan(results, "centre")


def test_every_two_methods_meet_once_on_every_image(plan: Plan) -> None:
    met = [(pair.image, pair.first, pair.second) for pair in plan.pairs]
    assert sorted(met) == sorted((key, *two) for key in KEYS for two in combinations(sorted(ERRORS), 2))
    assert len({pair.key for pair in plan.pairs}) == len(plan.pairs)


def test_what_is_shown_is_what_the_evaluations_drew(plan: Plan) -> None:
    (pair,) = [p for p in plan.pairs if (p.image, p.first, p.second) == (KEYS[3], "sge_net", "telea")]
    drawn = {kind: image_path(SGE_NET, "centre", 3, kind).read_bytes() for kind in ("corrupted", "inpainted")}
    assert plan.images[pair.corrupted_hash] == drawn["corrupted"]
    assert plan.images[pair.first_hash] == drawn["inpainted"]
    assert plan.images[pair.second_hash] not in drawn.values()


def test_images_have_the_complexity_of_their_scene(plan: Plan) -> None:
    strata = {pair.image: pair.stratum for pair in plan.pairs}
    assert [strata[key] for key in KEYS] == ["low", "low", "moderate", "moderate", "high", "high"]


def test_only_the_methods_that_are_named_meet(results: DatasetResults) -> None:
    plan = make_plan(results, "centre", ["sge_net", "telea"])
    assert {(pair.first, pair.second) for pair in plan.pairs} == {("sge_net", "telea")}
    assert len(plan.pairs) == COUNT


def test_a_filling_made_anew_is_another_pair_and_the_rest_stay_what_they_were(plan: Plan) -> None:
    path = image_path(SGE_NET, "centre", 2, "inpainted")
    Image.new("RGB", Image.open(path).size).save(path)
    again = make_plan(collect_dataset(SETTINGS, DATASET), "centre")
    changed = {pair.key for pair in plan.pairs} - {pair.key for pair in again.pairs}
    expected = {pair.key for pair in plan.pairs if pair.image == KEYS[2] and "sge_net" in (pair.first, pair.second)}
    assert changed == expected
    assert len(changed) == len(ERRORS) - 1


def test_every_pair_gets_as_many_votes_as_the_others(plan: Plan) -> None:
    votes: Counter[str] = Counter()
    for number in range(12):
        answered: set[str] = set()
        for _ in range(7):
            pair = next_pair(plan.pairs, votes, answered, f"voter {number}", seed=0)
            assert pair is not None
            votes[pair.key] += 1
            answered.add(pair.key)
        assert len(answered) == 7
        counts = [votes[pair.key] for pair in plan.pairs]
        assert max(counts) - min(counts) <= 1


def _order(plan: Plan, voter: str, seed: int) -> list[str]:
    answered: list[str] = []
    while pair := next_pair(plan.pairs, {}, answered, voter, seed):
        answered.append(pair.key)
    return answered


def test_the_order_is_a_persons_own_and_the_same_for_the_same_seed(plan: Plan) -> None:
    first = _order(plan, "somebody", 0)
    assert first == _order(plan, "somebody", 0)
    assert first != _order(plan, "somebody else", 0)
    assert first != _order(plan, "somebody", 1)
    assert sorted(first) == sorted(pair.key for pair in plan.pairs)


def test_sides_are_a_fair_coin_for_each_person_and_pair(plan: Plan) -> None:
    sides = [first_stands_left(pair, f"voter {n}", seed=0) for n in range(100) for pair in plan.pairs]
    assert abs(sum(sides) / len(sides) - 0.5) < 0.03  # 3.6 standard deviations of 3,600 draws
    assert sides == [first_stands_left(pair, f"voter {n}", seed=0) for n in range(100) for pair in plan.pairs]
    of_one_pair = [first_stands_left(plan.pairs[0], f"voter {n}", seed=0) for n in range(100)]
    assert 30 < sum(of_one_pair) < 70


def test_other_example_images_are_refused(folder: Path) -> None:
    summary = json.loads((SGE_NET / "evaluation.json").read_text())
    (SGE_NET / "evaluation.json").write_text(json.dumps(summary | {"examples": KEYS[1:]}))
    with pytest.raises(DataError, match="different example images; run the evaluate and baselines stages again"):
        make_plan(collect_dataset(SETTINGS, DATASET), "centre")


def test_a_missing_image_is_named(results: DatasetResults) -> None:
    path = image_path(SGE_NET, "centre", 4, "inpainted")
    path.unlink()
    with pytest.raises(DataError, match=rf"{path} cannot be read \(No such file or directory\); run the stage"):
        make_plan(results, "centre")


@pytest.mark.parametrize(
    ("mask_set", "methods", "sentence"),
    [
        ("irregular", [], "mixed_scenes has no holes 'irregular'; choose one of centre"),
        ("centre", ["sge_net", "lama"], "lama was not evaluated on mixed_scenes; choose from mean_colour, telea"),
        ("centre", ["sge_net"], "needs two evaluated methods"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(
    results: DatasetResults, mask_set: str, methods: list[str], sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        make_plan(results, mask_set, methods)


def test_without_any_evaluation_it_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="run the evaluate stage first"):
        make_plan(collect_dataset(SETTINGS, DATASET), "centre")
