"""``python -m sgenet`` with the method's packages alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sgenet.__main__ import main


def fill(folder: Path, mask: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sgenet", "photo.png", "--mask", mask, "-o", "out.png", "--device", "auto"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_photograph_is_filled_and_its_known_pixels_stay(tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    mask = np.zeros((96, 128), np.uint8)
    mask[30:50, 40:70] = 255
    Image.fromarray(photo).save(tmp_path / "photo.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    finished = fill(tmp_path, "mask.png")
    assert (finished.returncode, finished.stderr) == (0, "")
    filled = np.asarray(Image.open(tmp_path / "out.png"))
    assert (filled[mask == 0] == photo[mask == 0]).all()
    assert (filled[mask > 0] != photo[mask > 0]).any()
    missing = fill(tmp_path, "nowhere.png")
    assert missing.returncode == 2
    assert "nowhere.png" in missing.stderr
    assert "Traceback" not in missing.stderr


@pytest.mark.parametrize("output", ["out.jpg", "out.pgn", "out"])
def test_an_output_that_is_no_png_is_refused_before_anything_is_read(
    output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["photo.png", "--mask", "mask.png", "-o", output])
    assert ended.value.code == 2
    assert f"the output {output} must be a .png file" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["photo.png", "./mask.png"])
def test_the_photo_and_its_mask_are_not_overwritten(output: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["photo.png", "--mask", "mask.png", "-o", output])
    assert ended.value.code == 2
    assert "would overwrite" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_named_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("photo.png", "mask.png"):
        Image.new("L", (32, 32)).save(tmp_path / name)
    (tmp_path / "out.png").mkdir()
    given = [str(tmp_path / name) for name in ("photo.png", "mask.png", "out.png")]
    assert main([given[0], "--mask", given[1], "-o", given[2], "--texture", "network"]) == 2
    assert f"{given[2]} cannot be written" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", "mask.png", "out.png"}
