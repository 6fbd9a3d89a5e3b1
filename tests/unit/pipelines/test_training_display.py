from __future__ import annotations

import io

from rich.console import Console

from pipelines.training.display import LoggedStep, ProgressUpdate, TrainingDisplay
from pipelines.training.history import ValidationRow

LOGGED = LoggedStep(20, {"reconstruction": 0.123456, "discriminator": 1.0}, images_per_second=8.25, seconds_left=75.2)


def shown(*told: ProgressUpdate | str, num_steps: int | None = 100, terminal: bool = False) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=160 if terminal else 40, legacy_windows=False)
    with TrainingDisplay("camvid/sge_net", num_steps, console) as display:
        for each in told:
            if isinstance(each, str):
                display.say(each)
            else:
                display.show(each)
    return text.getvalue()


def test_a_log_file_gets_one_plain_line_a_logged_step() -> None:
    assert shown(LOGGED, "validation [at] step 20").splitlines() == [
        "camvid/sge_net: step 20/100  loss: reconstruction 0.1235  discriminator 1  8.2 images/s  0:01:15 left",
        "camvid/sge_net: validation [at] step 20",
    ]


def test_where_the_clock_ends_a_training_no_last_step_is_named() -> None:
    assert shown(LOGGED, num_steps=None).startswith("camvid/sge_net: step 20  loss: reconstruction")
    assert "20/?" in shown(LOGGED, num_steps=None, terminal=True)


def test_a_terminal_gets_a_bar() -> None:
    bar = shown(LOGGED, terminal=True)
    assert "20/100" in bar
    assert "step 20/100" not in bar


def test_a_validation_is_a_sentence_with_the_scores_in_the_hole() -> None:
    inpainting = ValidationRow(20, {"psnr": 30.0, "psnr_hole": 21.98765, "ssim_hole": 0.5, "l1_hole": 0.25})
    assert shown(inpainting, ValidationRow(20, {"miou": 0.5})).splitlines() == [
        "camvid/sge_net: validation at step 20: psnr_hole 21.99  ssim_hole 0.5  l1_hole 0.25",
        "camvid/sge_net: validation at step 20: miou 0.5",
    ]
