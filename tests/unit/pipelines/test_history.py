from __future__ import annotations

import pytest

from pipelines.training.history import History, LossRow, ValidationRow
from sgenet.errors import CheckpointError


def _history() -> History:
    history = History()
    for step in (10, 20, 30):
        history.add_losses(LossRow(step, {"reconstruction": 1 / step, "discriminator": 0.1}, 10, 2.0, 0.5))
    history.add_validation(ValidationRow(20, {"psnr_hole": 21.5}))
    return history


def test_rows_come_back_from_storage_to_the_bit() -> None:
    assert History.from_json_lines(_history().to_json_lines()) == _history()


def test_rewinding_forgets_the_steps_that_are_run_again() -> None:
    history = _history()
    history.rewind(10)
    assert [row.step for row in history.losses] == [10]
    assert history.validations == []
    history.add_losses(LossRow(20, {}, 10, 2.0, 0.5))


def test_a_step_cannot_be_recorded_twice() -> None:
    with pytest.raises(ValueError, match="step 30 is recorded after step 30"):
        _history().add_losses(LossRow(30, {}, 10, 2.0, 0.5))


def test_losses_table_has_a_column_a_term_and_exact_numbers() -> None:
    assert _history().losses_csv().splitlines() == [
        "step,reconstruction,discriminator",
        "10,0.1,0.1",
        "20,0.05,0.1",
        "30,0.03333333333333333,0.1",
    ]


def test_a_term_that_only_some_rows_have_leaves_blanks() -> None:
    history = History()
    history.add_validation(ValidationRow(1, {"psnr": 20.0}))
    history.add_validation(ValidationRow(2, {"psnr": 21.0, "miou": 0.5}))
    assert history.validation_csv().splitlines() == ["step,psnr,miou", "1,20.0,", "2,21.0,0.5"]


def test_speed_counts_every_timed_step() -> None:
    history = _history()
    assert history.seconds == 6.0
    assert history.steps_per_second == 5.0
    assert history.data_wait_share == 0.25


@pytest.mark.parametrize("damage", [b"{", b'{"kind": "losses"}', b'{"kind": "other"}', b"[]", b"\xff"])
def test_a_damaged_line_is_named(damage: bytes) -> None:
    with pytest.raises(CheckpointError, match="line 5"):
        History.from_json_lines(_history().to_json_lines() + damage + b"\n")
