from __future__ import annotations

import io

from rich.console import Console

from pipelines.training.display import LoggedStep, TrainingDisplay
from pipelines.training.history import ValidationRow

LOGGED = LoggedStep(20, {"reconstruction": 0.123456, "discriminator": 1.0}, images_per_second=8.25, seconds_left=75.2)


def test_a_log_file_gets_one_plain_line_a_logged_step() -> None:
    text = io.StringIO()
    with TrainingDisplay("camvid/sge_net", 100, Console(file=text, width=40)) as display:
        display.show(LOGGED)
        display.say("validation [at] step 20")
    assert text.getvalue().splitlines() == [
        "camvid/sge_net: step 20/100  loss: reconstruction 0.1235  discriminator 1  8.2 images/s  0:01:15 left",
        "camvid/sge_net: validation [at] step 20",
    ]


def test_where_the_clock_ends_a_training_no_last_step_is_named() -> None:
    text = io.StringIO()
    with TrainingDisplay("camvid/sge_net", None, Console(file=text, width=40)) as display:
        display.show(LOGGED)
    assert text.getvalue().startswith("camvid/sge_net: step 20  loss: reconstruction")
    on_terminal = io.StringIO()
    console = Console(file=on_terminal, force_terminal=True, width=160, legacy_windows=False)
    with TrainingDisplay("camvid/sge_net", None, console) as display:
        display.show(LOGGED)
    assert "20/?" in on_terminal.getvalue()


def test_a_terminal_gets_a_bar() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=160, legacy_windows=False)
    with TrainingDisplay("camvid/sge_net", 100, console) as display:
        display.show(LOGGED)
    assert "20/100" in text.getvalue()
    assert "step 20/100" not in text.getvalue()


def test_a_validation_is_a_sentence_with_the_scores_in_the_hole() -> None:
    text = io.StringIO()
    with TrainingDisplay("camvid/sge_net", 100, Console(file=text, width=40)) as display:
        display.show(ValidationRow(20, {"psnr": 30.0, "psnr_hole": 21.98765, "ssim_hole": 0.5, "l1_hole": 0.25}))
        display.show(ValidationRow(20, {"miou": 0.5}))
    assert text.getvalue().splitlines() == [
        "camvid/sge_net: validation at step 20: psnr_hole 21.99  ssim_hole 0.5  l1_hole 0.25",
        "camvid/sge_net: validation at step 20: miou 0.5",
    ]
