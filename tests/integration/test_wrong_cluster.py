"""A ``RAY_ADDRESS`` that names no cluster: one sentence, soon, from whoever would connect."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest
from project import Project

from pipelines.parallel import connect
from sgenet.errors import UserError

DASHBOARD = "http://127.0.0.1:8265"


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (DASHBOARD, "RAY_ADDRESS=http://127.0.0.1:8265 is a dashboard, which takes jobs"),
        ("rubbish", "RAY_ADDRESS=rubbish is no address; set it to HOST:PORT"),
        ("local", "RAY_ADDRESS=local names no cluster"),
        ("127.0.0.1:1", "no Ray cluster answers at RAY_ADDRESS=127.0.0.1:1 ("),
        ("ray://127.0.0.1:1", "no Ray cluster answers at RAY_ADDRESS=ray://127.0.0.1:1 ("),
        ("ray://nobody", "no Ray cluster answers at RAY_ADDRESS=ray://nobody ("),
    ],
)
def test_what_is_wrong_with_an_address_is_said(address: str, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(UserError) as caught:
        connect.connect_to_cluster()
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_who_answers_but_is_no_head_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "_SECONDS_TO_ANSWER", 1.0)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{mute.getsockname()[1]}")
        begun = time.monotonic()
        with pytest.raises(UserError, match="no Ray cluster answers at RAY_ADDRESS=127"):
            connect.connect_to_cluster()
    assert time.monotonic() - begun < 10


@pytest.mark.slow
def test_a_command_ends_with_the_sentence(tmp_path: Path) -> None:
    assert "is a dashboard" in Project(tmp_path).refused("serve", "--model", "shipped", RAY_ADDRESS=DASHBOARD)


@pytest.mark.parametrize("command", ["train", "tune"])
def test_a_training_asks_before_it_opens_a_run(command: str, here: Project) -> None:
    before, asked = set(here.root.iterdir()), (command, "--dataset", "mixed_scenes", "--method", "sge_net")
    for address in (DASHBOARD, "rubbish", "127.0.0.1:1"):
        assert f"RAY_ADDRESS={address}" in here.refused_here(*asked, RAY_ADDRESS=address)
    assert set(here.root.iterdir()) == before
