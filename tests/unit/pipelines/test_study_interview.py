"""What a person is asked, and what an answer means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fabricated_runs import COUNT, DATASET, fabricate_runs

from pipelines.report.collect import collect_dataset
from pipelines.report.study.interview import Interview, new_person
from pipelines.report.study.plan import Plan, make_plan
from pipelines.report.study.votes import Choice, VoteBox
from pipelines.settings.load import load


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("runs")
    fabricate_runs(folder, COUNT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        settings = load(Path(__file__).resolve().parents[3] / "params.yaml")
        return make_plan(collect_dataset(settings, DATASET), "centre")


@pytest.fixture
def interview(plan: Plan, tmp_path: Path) -> Interview:
    box = VoteBox(tmp_path / "votes.sqlite")
    box.know(plan.pairs)
    return Interview(plan, box, seed=0, per_person=80)


def _ask_until_done(interview: Interview, answer: str) -> list[int]:
    """The numbers of the questions that one person answers."""
    person, numbers = new_person(), []
    while question := interview.question(person):
        numbers.append(question.number)
        assert interview.answer(person, question, answer)
    return numbers


@pytest.mark.parametrize("answer", ["left", "right", "tie"])
def test_an_answer_counts_for_the_method_whose_image_stood_there(interview: Interview, answer: str) -> None:
    person = new_person()
    question = interview.question(person)
    assert question is not None
    seen = interview.images(question)
    assert interview.answer(person, question, answer)
    (stored,) = interview.votes.all()
    (pair,) = [pair for pair in interview.plan.pairs if pair.key == stored.pair]
    images = interview.plan.images
    drawn = {Choice.FIRST: images[pair.first_hash], Choice.SECOND: images[pair.second_hash]}
    assert seen["hole"] == images[pair.corrupted_hash]
    assert {seen["left"], seen["right"]} == set(drawn.values())
    assert drawn[stored.on_left] == seen["left"]
    assert stored.choice is Choice.TIE if answer == "tie" else drawn[stored.choice] == seen[answer]
    assert person not in stored.voter, "the file does not let its reader vote for others"


def test_a_whole_round_asks_every_pair_once(interview: Interview) -> None:
    assert _ask_until_done(interview, "left") == list(range(1, 37))
    assert interview.votes.counts() == {pair.key: 1 for pair in interview.plan.pairs}


def test_nobody_is_asked_more_than_so_many_pairs(interview: Interview) -> None:
    short = replace(interview, per_person=5)
    assert [_ask_until_done(short, "tie") for _ in range(2)] == [[1, 2, 3, 4, 5]] * 2
    assert set(interview.votes.counts().values()) == {1}, "the second person was asked about pairs the first was not"


def test_the_first_answer_counts(interview: Interview) -> None:
    """Whether the second comes from another tab or from a study that was started anew with other sides."""
    person = new_person()
    question = interview.question(person)
    assert question is not None
    anew = replace(interview, seed=1)
    assert anew.answer(person, question, "left")
    assert interview.answer(person, question, "left"), "the same answer may come twice"
    assert not interview.answer(person, question, "right")
    (stored,) = interview.votes.all()
    assert stored.choice is stored.on_left is question.on_left
