"""What votes say: shares, intervals, the files of ``--results`` and the report's table."""

from __future__ import annotations

import csv
import math
import socket
from pathlib import Path

import pytest
from fabricated_runs import COUNT, DATASET, KEYS, fabricate_runs
from PIL import Image

from pipelines.__main__ import main
from pipelines.evaluation.images import image_path
from pipelines.report.collect import collect_dataset
from pipelines.report.study.plan import Pair, make_plan
from pipelines.report.study.preferences import ALL, Preference, count_preferences, wilson_interval
from pipelines.report.study.votes import Choice, Vote, VoteBox
from pipelines.settings.layout import RunPaths, StudyPaths
from pipelines.settings.load import load
from pipelines.stages import report

PARAMS = Path(__file__).resolve().parents[3] / "params.yaml"
PATHS = StudyPaths(DATASET)
SGE_NET = RunPaths(DATASET, "sge_net").evaluation


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, Table I, method 3
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilsons_interval_has_its_published_values(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_without_a_trial_there_is_no_interval() -> None:
    assert all(math.isnan(bound) for bound in wilson_interval(0, 0))


def _pair(key: str, stratum: str, first: str = "a", second: str = "b") -> Pair:
    return Pair(key, "centre", "image", stratum, first, second, "", "", "")


def test_votes_are_counted_both_ways_over_all_and_by_complexity() -> None:
    pairs = [_pair("1", "low"), _pair("2", "high"), _pair("3", "high", "b", "c")]
    choices = {"1": ["first", "first", "tie"], "2": ["second", "first"], "3": ["tie"], "of another study": ["first"]}
    votes = [
        Vote(f"voter {number}", key, Choice(choice), Choice.FIRST)
        for key, made in choices.items()
        for number, choice in enumerate(made)
    ]
    assert count_preferences(pairs, votes) == [
        Preference("centre", ALL, "a", "b", preferred=3, against=1, ties=1),
        Preference("centre", ALL, "b", "a", preferred=1, against=3, ties=1),
        Preference("centre", ALL, "b", "c", preferred=0, against=0, ties=1),
        Preference("centre", ALL, "c", "b", preferred=0, against=0, ties=1),
        Preference("centre", "low", "a", "b", preferred=2, against=0, ties=1),
        Preference("centre", "low", "b", "a", preferred=0, against=2, ties=1),
        Preference("centre", "high", "a", "b", preferred=1, against=1, ties=0),
        Preference("centre", "high", "b", "a", preferred=1, against=1, ties=0),
        Preference("centre", "high", "b", "c", preferred=0, against=0, ties=1),
        Preference("centre", "high", "c", "b", preferred=0, against=0, ties=1),
    ]
    assert count_preferences(pairs, votes)[0].share == 0.75


@pytest.fixture
def voted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten people say about every image that SGE-Net beats Telea; on the first image, two cannot tell."""
    fabricate_runs(tmp_path, COUNT)
    monkeypatch.chdir(tmp_path)
    pairs = make_plan(collect_dataset(load(PARAMS), DATASET), "centre", ["sge_net", "telea"]).pairs
    box = VoteBox(PATHS.votes)
    box.know(pairs)
    for person in range(10):
        for pair in pairs:
            choice = Choice.TIE if person < 2 and pair.image == KEYS[0] else Choice.FIRST
            box.record(Vote(f"voter {person}", pair.key, choice, Choice.SECOND if person % 2 else Choice.FIRST))
    box.close()
    return tmp_path


def results() -> int:
    return main(["study", "--params", str(PARAMS), "--results"])


def test_results_are_printed_and_written(voted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert results() == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "10 people, 60 answers, of which 2 cannot tell; 29 of the 58 others chose the left side." in printed
    assert "N 58 + 2" in printed
    with (PATHS.results / "preferences.csv").open(encoding="utf-8", newline="") as file:
        rows = {(row["stratum"], row["row"]): row for row in csv.DictReader(file)}
    assert len(rows) == 2 * 4
    low, high = wilson_interval(58, 58)
    assert list(rows[(ALL, "sge_net")].values()) == [
        *("centre", "all", "sge_net", "telea", "58", "0", "2"),
        *(f"{number:.6f}" for number in (1.0, low, high)),
    ]
    assert [rows[("low", "telea")][name] for name in ("preferred", "against", "ties", "share")] == [
        *("0", "18", "2", "0.000000")
    ]
    table = (PATHS.results / "table.md").read_text(encoding="utf-8")
    assert "| Telea |  | 0.0 % (0.0 … 6.2; N 58 + 2) |" in table
    assert "| SGE-Net | **100.0 %** (93.8 … 100.0; N 58 + 2) |  |" in table
    assert table.count("scenes of") == 3


def test_votes_on_fillings_that_were_made_anew_are_not_counted(voted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = image_path(SGE_NET, "centre", 3, "inpainted")
    Image.new("RGB", Image.open(path).size).save(path)
    assert results() == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "10 people, 50 answers" in printed
    assert "Not counted: 10 answers on fillings that have since been made again." in printed


@pytest.mark.slow
def test_the_report_shows_what_people_prefer(voted: Path) -> None:
    settings = load(PARAMS)
    report.run(settings, Path("report"))
    assert "Table 2" not in Path("report/index.html").read_text(encoding="utf-8")
    results()
    report.run(settings, Path("report"))
    page = Path("report/index.html").read_text(encoding="utf-8")
    assert "User study (Table 2)" in page
    assert '<td class="best">100.0 %<small>93.8 … 100.0; N 58 + 2</small></td>' in page
    assert "93.8 … 100.0; N 58 + 2" in Path("report/table.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_report_does_not_put_votes_beside_the_scores_of_another_model(voted: Path) -> None:
    results()
    summary = SGE_NET / "evaluation.json"
    summary.write_text(summary.read_text().replace('"weights_sha256": null', '"weights_sha256": "retrained"'))
    report.run(load(PARAMS), Path("report"))
    page = Path("report/index.html").read_text(encoding="utf-8")
    assert "The votes are on fillings that have since been made again, and are not shown" in page
    assert "N 58 + 2" not in page


def test_without_votes_it_says_how_to_get_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fabricate_runs(tmp_path, COUNT)
    monkeypatch.chdir(tmp_path)
    assert results() == 2
    assert "nobody has voted on mixed_scenes yet; run `python -m pipelines study" in capsys.readouterr().err
    assert not PATHS.votes.exists()
    VoteBox(PATHS.votes).close()
    assert results() == 2
    assert "holds no vote on the fillings of mixed_scenes as they are now" in capsys.readouterr().err


@pytest.mark.slow
def test_a_port_in_use_is_a_sentence(voted: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["study", "--params", str(PARAMS), "--port", str(port)]) == 2
    assert f"port {port} of 127.0.0.1 cannot be used" in capsys.readouterr().err
