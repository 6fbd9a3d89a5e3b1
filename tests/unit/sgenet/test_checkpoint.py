"""Checkpoints: a restart changes nothing, and what is damaged is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from small import all_tensors, same_tensors, small_batch, small_state

from sgenet.errors import CheckpointError
from sgenet.training.checkpoint import digest_path, load_checkpoint, read_checkpoint, save_checkpoint
from sgenet.training.step import training_step


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    state = small_state()
    training_step(state, small_batch())
    save_checkpoint(state, tmp_path / "checkpoints" / "step-1.pt")
    return tmp_path / "checkpoints" / "step-1.pt"


def test_a_checkpoint_is_a_file_with_its_checksum_and_no_leftovers(checkpoint: Path) -> None:
    assert sorted(path.name for path in checkpoint.parent.iterdir()) == ["step-1.pt", "step-1.pt.sha256"]
    assert read_checkpoint(checkpoint)["step"] == 1


def test_saving_does_not_disturb_the_training(tmp_path: Path) -> None:
    quiet, saving = small_state(), small_state()
    for number in range(2):
        training_step(quiet, small_batch(number))
        training_step(saving, small_batch(number))
        save_checkpoint(saving, tmp_path / "state.pt")
    assert same_tensors(all_tensors(quiet.state_dict()), all_tensors(saving.state_dict()))


def test_one_flipped_bit_is_noticed(checkpoint: Path) -> None:
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    with pytest.raises(CheckpointError, match="does not match its checksum"):
        load_checkpoint(small_state(), checkpoint)


def test_a_checkpoint_without_checksum_does_not_count(checkpoint: Path) -> None:
    digest_path(checkpoint).unlink()
    with pytest.raises(CheckpointError, match="missing or incomplete"):
        read_checkpoint(checkpoint)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"step-9\.pt"):
        read_checkpoint(tmp_path / "step-9.pt")


def test_a_checkpoint_of_another_method_is_refused(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="another network or recipe") as raised:
        load_checkpoint(small_state("base_net"), checkpoint)
    assert "\n" not in str(raised.value)
