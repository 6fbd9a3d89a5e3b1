"""The page's server: what reaches the browser, what an answer means, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fabricated_runs import COUNT, DATASET, ERRORS, KEYS, fabricate_runs
from starlette.testclient import TestClient

from pipelines.report.collect import collect_dataset
from pipelines.report.study.plan import Plan, make_plan
from pipelines.report.study.server import COOKIE, study_application
from pipelines.report.study.votes import Choice, VoteBox
from pipelines.settings.load import load
from pipelines.settings.titles import TITLES

HERE = "http://127.0.0.1:7870"
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("runs")
    fabricate_runs(folder, COUNT)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        settings = load(Path(__file__).resolve().parents[3] / "params.yaml")
        return make_plan(collect_dataset(settings, DATASET), "centre")


@pytest.fixture
def box(plan: Plan, tmp_path: Path) -> VoteBox:
    box = VoteBox(tmp_path / "votes.sqlite")
    box.know(plan.pairs)
    return box


def browser(plan: Plan, box: VoteBox, per_person: int = 80, seed: int = 0, host: str = "127.0.0.1") -> TestClient:
    return TestClient(study_application(plan, box, seed=seed, per_person=per_person, host=host), base_url=HERE)


def ask(client: TestClient) -> dict[str, Any]:
    response = client.get("/question")
    assert response.status_code == 200
    return response.json()


def vote(client: TestClient, question: str, answer: str) -> Any:
    return client.post("/votes", json={"question": question, "answer": answer})


@pytest.mark.parametrize("answer", ["left", "right", "tie"])
def test_an_answer_counts_for_the_method_whose_picture_stood_there(plan: Plan, box: VoteBox, answer: str) -> None:
    client = browser(plan, box)
    question = ask(client)["question"]
    seen = {place: client.get(f"/pictures/{question}/{place}").content for place in ("hole", "left", "right")}
    assert vote(client, question, answer).status_code == 201
    (stored,) = box.all()
    (pair,) = [pair for pair in plan.pairs if pair.key == stored.pair]
    drawn = {Choice.FIRST: plan.pictures[pair.first_hash], Choice.SECOND: plan.pictures[pair.second_hash]}
    assert seen["hole"] == plan.pictures[pair.corrupted_hash]
    assert {seen["left"], seen["right"]} == set(drawn.values())
    assert drawn[stored.on_left] == seen["left"]
    if answer == "tie":
        assert stored.choice is Choice.TIE
    else:
        assert drawn[stored.choice] == seen[answer]


def test_a_whole_round_asks_every_pair_once_and_then_thanks(plan: Plan, box: VoteBox) -> None:
    client = browser(plan, box)
    content = ask(client)
    for number in range(len(plan.pairs)):
        assert (content["answered"], content["total"]) == (number, len(plan.pairs))
        content = vote(client, content["question"], "left").json()
    assert content == {"answered": 36, "total": 36, "question": None}
    assert ask(client)["question"] is None
    assert box.counts() == {pair.key: 1 for pair in plan.pairs}


def test_nobody_is_asked_more_than_so_many_pairs(plan: Plan, box: VoteBox) -> None:
    for _ in range(2):
        client = browser(plan, box, per_person=5)
        content = ask(client)
        while content["question"]:
            content = vote(client, content["question"], "tie").json()
        assert content["answered"] == content["total"] == 5
    assert set(box.counts().values()) == {1}, "the second person was asked about pairs the first one was not"


def test_nothing_that_reaches_the_browser_tells_the_method(plan: Plan, box: VoteBox) -> None:
    client = browser(plan, box)
    question = ask(client)["question"]
    paths = ["/", "/study.css", "/study.js", "/question", "/nothing"]
    paths += [f"/pictures/{question}/{place}" for place in ("hole", "left", "right", "sge_net")]
    answers = [client.get(path) for path in paths] + [vote(client, question, "left"), vote(client, "x", "left")]
    names = [name.lower() for name in (*ERRORS, *(TITLES[name] for name in ERRORS), *KEYS)]
    for answer in answers:
        said = (str(answer.headers) + answer.content.decode("latin-1")).lower()
        assert [name for name in names if name in said] == []
        # Dates and hashes of the files would say which belong together.
        assert not {"etag", "last-modified"} & set(answer.headers)


def test_ids_follow_from_no_hash_that_could_be_guessed(plan: Plan, box: VoteBox, tmp_path: Path) -> None:
    """The same pair has other ids in another study: they come from a secret in its file."""
    other = VoteBox(tmp_path / "other.sqlite")
    other.know(plan.pairs)
    mine, theirs = (browser(plan, each) for each in (box, other))
    cookie = {"cookie": f"{COOKIE}={'0' * 32}"}
    first, second = (client.get("/question", headers=cookie).json()["question"] for client in (mine, theirs))
    assert first != second


def test_the_cookie_is_random_and_out_of_reach_of_scripts_and_other_sites(plan: Plan, box: VoteBox) -> None:
    clients = [browser(plan, box) for _ in range(2)]
    headers = [client.get("/question").headers["set-cookie"] for client in clients]
    for header in headers:
        assert "HttpOnly" in header
        assert "samesite=strict" in header.lower()
    numbers = [client.cookies[COOKIE] for client in clients]
    assert numbers[0] != numbers[1]
    assert "set-cookie" not in clients[0].get("/question").headers
    vote(clients[0], ask(clients[0])["question"], "left")
    assert box.all()[0].voter not in numbers, "the file does not let its reader vote for others"


def test_a_vote_means_what_was_seen_even_when_the_study_was_started_anew_meanwhile(plan: Plan, box: VoteBox) -> None:
    client = browser(plan, box)
    question = ask(client)["question"]
    left = client.get(f"/pictures/{question}/left").content
    again = browser(plan, box, seed=1)
    again.cookies = client.cookies
    assert vote(again, question, "left").status_code == 201
    (stored,) = box.all()
    (pair,) = [pair for pair in plan.pairs if pair.key == stored.pair]
    preferred = pair.first_hash if stored.choice is Choice.FIRST else pair.second_hash
    assert plan.pictures[preferred] == left


def test_the_same_vote_may_come_twice_and_another_one_is_refused(plan: Plan, box: VoteBox) -> None:
    client = browser(plan, box)
    question = ask(client)["question"]
    assert [vote(client, question, "left").status_code for _ in range(2)] == [201, 201]
    refused = vote(client, question, "right")
    assert (refused.status_code, refused.json()["message"]) == (
        409,
        "you have compared this pair before, and your first answer counts; go on to the next",
    )
    assert len(box.all()) == 1


GOOD = {"question": "0" * 32, "answer": "left"}


@pytest.mark.parametrize(
    ("body", "headers", "status", "sentence"),
    [
        (b"", JSON, 400, "not JSON"),
        (b'{"question": ', JSON, 400, "not JSON"),
        (b"\xff\xfe", JSON, 400, "not JSON"),
        (b"[" * 1000, JSON, 400, "not JSON"),
        (b"[]", JSON, 400, "and nothing else"),
        (json.dumps({**GOOD, "answer": "best"}).encode(), JSON, 400, "left, right, tie"),
        (json.dumps({**GOOD, "answer": ["left"]}).encode(), JSON, 400, "and nothing else"),
        (json.dumps({**GOOD, "question": None}).encode(), JSON, 400, "and nothing else"),
        (json.dumps({**GOOD, "name": "me"}).encode(), JSON, 400, "and nothing else"),
        (json.dumps(GOOD).encode(), JSON, 404, "this pair is not in the study"),
        (b" " * 1025, JSON, 413, "at most 1024 bytes"),
        (json.dumps(GOOD).encode(), {"content-type": "text/plain"}, 415, "application/json"),
        (b"question=1&answer=left", {"content-type": "application/x-www-form-urlencoded"}, 415, "application/json"),
        (json.dumps(GOOD).encode(), JSON | {"origin": "https://elsewhere.example"}, 403, "from the page of the study"),
        (json.dumps(GOOD).encode(), JSON | {"origin": "null"}, 403, "from the page of the study"),
    ],
)
def test_what_is_no_vote_is_refused_in_a_sentence(
    plan: Plan, box: VoteBox, body: bytes, headers: dict[str, str], status: int, sentence: str
) -> None:
    client = browser(plan, box)
    ask(client)
    refused = client.post("/votes", content=body, headers=headers)
    assert refused.status_code == status
    assert sentence in refused.json()["message"]
    assert box.all() == []


def test_a_vote_from_the_page_itself_is_taken_under_any_name_of_the_server(plan: Plan, box: VoteBox) -> None:
    """With ``--host 0.0.0.0``, perhaps behind a proxy that speaks TLS: the origin names this host."""
    client = browser(plan, box, host="0.0.0.0")
    question = ask(client)["question"]
    names = {"host": "study.example", "origin": "https://study.example"}
    body = {"question": question, "answer": "left"}
    assert client.post("/votes", json=body, headers=names).status_code == 201


def test_without_a_cookie_there_is_no_vote(plan: Plan, box: VoteBox) -> None:
    question = ask(browser(plan, box))["question"]
    for cookie in ("", f"{COOKIE}=me", f"{COOKIE}={'A' * 32}"):
        refused = browser(plan, box).post(
            "/votes", json={"question": question, "answer": "left"}, headers={"cookie": cookie}
        )
        assert refused.status_code == 403
        assert "allow its cookie and reload" in refused.json()["message"]
    assert box.all() == []


def test_on_loopback_it_answers_to_no_foreign_name(plan: Plan, box: VoteBox) -> None:
    assert browser(plan, box).get("/", headers={"host": "elsewhere.example"}).status_code == 400
    assert browser(plan, box, host="0.0.0.0").get("/", headers={"host": "elsewhere.example"}).status_code == 200


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/votes", 405), ("GET", "/../params.yaml", 404)])
def test_other_paths_and_methods_are_sentences(plan: Plan, box: VoteBox, method: str, path: str, status: int) -> None:
    refused = browser(plan, box).request(method, path)
    assert refused.status_code == status
    assert refused.json()["message"].endswith("open the page at /")


def test_a_vote_that_cannot_be_stored_is_not_acknowledged(plan: Plan, box: VoteBox) -> None:
    client = browser(plan, box)
    question = ask(client)["question"]
    box.close()
    refused = vote(client, question, "left")
    assert refused.status_code == 503
    assert "could not be stored" in refused.json()["message"]
    assert "tell whoever runs the study" in refused.json()["message"]


def test_every_answer_forbids_browsers_to_load_from_elsewhere(plan: Plan, box: VoteBox) -> None:
    client = browser(plan, box)
    for path in ("/", "/question", "/nothing"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; img-src 'self'")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
