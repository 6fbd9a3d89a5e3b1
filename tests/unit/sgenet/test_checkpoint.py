"""Checkpoints: a restart changes nothing, and what is damaged is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from small import METHODS, Diary, all_tensors, loader, same_tensors, small_batch, small_state

from sgenet.errors import CheckpointError
from sgenet.training.checkpoint import digest_path, load_checkpoint, read_checkpoint, save_checkpoint
from sgenet.training.loop import fit
from sgenet.training.step import training_step


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", METHODS)
def test_a_resumed_training_equals_an_uninterrupted_one_to_the_bit(tmp_path: Path, name: str, precision: str) -> None:
    whole, whole_diary = small_state(name, precision=precision), Diary()
    fit(whole, loader(), [whole_diary], until_step=5)

    first, diary = small_state(name, precision=precision), Diary()
    fit(first, loader(), [diary], until_step=2)
    save_checkpoint(first, tmp_path / "state.pt")
    torch.manual_seed(12345)
    # Another seed: whatever the checkpoint forgets would show.
    second = small_state(name, seed=77, precision=precision)
    load_checkpoint(second, tmp_path / "state.pt")
    assert second.step == 2
    fit(second, loader(start=2), [diary], until_step=5)

    assert diary.steps == whole_diary.steps == [1, 2, 3, 4, 5]
    assert diary.terms == whole_diary.terms
    assert same_tensors(all_tensors(second.state_dict()), all_tensors(whole.state_dict()))


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
