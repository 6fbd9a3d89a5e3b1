from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
import torch

from pipelines.training.checkpoints import CheckpointStore
from pipelines.training.history import History, LossRow
from sgenet.training.state import TrainingState


@dataclass
class _State:
    """As much of a training state as a checkpoint needs."""

    step: int = 0
    weight: torch.Tensor = field(default_factory=lambda: torch.zeros(3))

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step, "weight": self.weight}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step, self.weight = state["step"], state["weight"]


def _saved(store: CheckpointStore, *steps: int) -> None:
    for step in steps:
        store.save(step, _State(step, torch.full((3,), float(step))).state_dict())


def _as_state(state: _State) -> TrainingState:
    return cast(TrainingState, state)


def test_newest_checkpoint_comes_back(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path), keep=3)
    _saved(store, 10, 20)
    state = _State()
    assert store.load_newest(_as_state(state), pytest.fail) == 20
    assert state.step == 20
    assert state.weight.tolist() == [20, 20, 20]


def test_without_checkpoints_the_state_stays_as_it_is(tmp_path: Path) -> None:
    state = _State(weight=torch.ones(3))
    assert CheckpointStore(str(tmp_path / "none"), keep=3).load_newest(_as_state(state), pytest.fail) == 0
    assert state.weight.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("step-00000030.pt", lambda content: content[:100] + bytes([content[100] ^ 1]) + content[101:]),
        ("step-00000030.pt", lambda content: content[:-1]),
        ("step-00000030.pt.sha256", lambda content: content[::-1]),
    ],
)
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before_and_says_so(
    tmp_path: Path, name: str, damage: Callable[[bytes], bytes]
) -> None:
    store = CheckpointStore(str(tmp_path), keep=3)
    _saved(store, 10, 20, 30)
    (tmp_path / name).write_bytes(damage((tmp_path / name).read_bytes()))
    said: list[str] = []
    state = _State()
    assert store.load_newest(_as_state(state), said.append) == 20
    assert state.weight.tolist() == [20, 20, 20]
    assert len(said) == 1
    assert "step 30" in said[0]


def test_a_checkpoint_without_its_checksum_does_not_count(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path), keep=3)
    _saved(store, 10, 20)
    (tmp_path / "step-00000020.pt.sha256").unlink()
    assert store.steps() == [10]


def test_the_best_stays_beside_the_newest(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path), keep=2)
    for step, best in ((10, None), (20, 20), (30, 20), (40, 20), (50, 20)):
        store.save(step, _State(step).state_dict(), best)
    assert store.steps() == [20, 40, 50]
    assert len(list(tmp_path.iterdir())) == 6
    store.save(60, _State(60).state_dict(), 60)
    assert store.steps() == [50, 60]


def test_saving_after_a_rewind_forgets_the_later_steps(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path), keep=2)
    _saved(store, 10, 30, 20)
    assert store.steps() == [10, 20]


def test_history_is_rewound_to_the_checkpoint_it_is_loaded_for(tmp_path: Path) -> None:
    store = CheckpointStore(str(tmp_path), keep=2)
    history = History([LossRow(step, {"l1": 0.5}, 1, 1.0, 0.0) for step in (10, 20, 25)])
    store.save_history(history)
    assert [row.step for row in store.load_history(20).losses] == [10, 20]


def test_checkpoints_live_on_s3_as_well(s3_bucket: str) -> None:
    store = CheckpointStore(f"s3://{s3_bucket}/checkpoints/key", keep=1)
    _saved(store, 10, 20)
    store.save_history(History([LossRow(20, {"l1": 0.5}, 1, 1.0, 0.0)]))
    assert store.steps() == [20]
    assert store.load_newest(_as_state(_State()), pytest.fail) == 20
    assert store.load_history(20).losses[0].terms == {"l1": 0.5}


@pytest.mark.slow
def test_a_damaged_object_on_s3_falls_back_as_well(s3_bucket: str) -> None:
    store = CheckpointStore(f"s3://{s3_bucket}/checkpoints", keep=2)
    _saved(store, 10, 20)
    client = boto3.client("s3")
    stored = {"Bucket": s3_bucket, "Key": "checkpoints/step-00000020.pt"}
    metadata = client.head_object(**stored)["Metadata"]
    client.put_object(**stored, Body=b"damaged", Metadata=metadata)
    said: list[str] = []
    assert store.load_newest(_as_state(_State()), said.append) == 10
    assert "step 20" in said[0]


def test_a_checkpoint_is_hashed_once(tmp_path: Path, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed = []
    file_digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, kind: hashed.append(file.name) or file_digest(file, kind))
    _saved(CheckpointStore(f"s3://{s3_bucket}/checkpoints", keep=1), 10)
    # As it lies on the disk; what is read again is the checksum of 65 bytes alone.
    assert [Path(name).suffix for name in hashed] == [".partial", ".sha256"]
