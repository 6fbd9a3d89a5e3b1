"""The plain training script, on a machine that is made to look as if it had no platform packages."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny import CROP

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "train_bare.py"

ABSENT = (
    "ray",
    "mlflow",
    "dvc",
    "webdataset",
    "pyarrow",
    "pydantic",
    "yaml",
    "boto3",
    "simplejpeg",
    "cv2",
)

BARE_MACHINE = f"""
import importlib.abc, runpy, sys

class Refuser(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {set(ABSENT)!r}:
            raise ImportError(f"{{name}} is not on this machine")
        return None

sys.meta_path.insert(0, Refuser())
script, *sys.argv[1:] = sys.argv[1:]
runpy.run_path(script, run_name="__main__")
"""


def _options(shards: Path, output: Path, *arguments: str) -> list[str]:
    options = {"--preset": "tiny", "--size": CROP, "--num-classes": 3, "--batch-size": 4, "--loader-processes": 0}
    fixed = [str(part) for pair in options.items() for part in pair]
    return [str(shards), *fixed, "--device", "cpu", "--precision", "float32", "--output", str(output), *arguments]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str]], int]:
    """The script in this process, which has the platform packages."""
    specification = importlib.util.spec_from_file_location("train_bare", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    script = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "train_bare", script)
    specification.loader.exec_module(script)

    def run(arguments: list[str]) -> int:
        monkeypatch.setattr(sys, "argv", ["train_bare.py", *arguments])
        status: int = script.main()
        return status

    return run


def _read(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report


@pytest.mark.slow
def test_a_bare_machine_trains_what_a_full_one_trains_with_a_break(
    tiny_dataset: Path, tmp_path: Path, call: Callable[[list[str]], int]
) -> None:
    """Without the packages and in one go; with them, stopped half way and resumed: the same to the bit."""
    shards, steps = tiny_dataset / "shards", ("--steps", "6", "--warmup-steps", "1")
    finished = subprocess.run(
        [sys.executable, "-c", BARE_MACHINE, str(SCRIPT), *_options(shards, tmp_path / "bare.json", *steps)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert finished.returncode == 0, finished.stderr

    state = ("--checkpoint", str(tmp_path / "state.pt"))
    assert call(_options(shards, tmp_path / "half.json", *steps, *state, "--until-step", "3")) == 0
    assert call(_options(shards, tmp_path / "resumed.json", *steps, *state, "--resume")) == 0

    bare, half, resumed = (_read(tmp_path / f"{name}.json") for name in ("bare", "half", "resumed"))
    assert [report["step"] for report in (bare, half, resumed)] == [6, 3, 6]
    assert [report["resumed_after_step"] for report in (bare, half, resumed)] == [0, 0, 3]
    assert resumed["losses"] == bare["losses"]
    assert "miou" in bare["scores"]
    assert resumed["scores"] == bare["scores"] != half["scores"]


@pytest.mark.slow
def test_the_report_holds_what_a_comparison_needs(
    tiny_dataset: Path, tmp_path: Path, call: Callable[[list[str]], int]
) -> None:
    output = tmp_path / "report.json"
    assert call(_options(tiny_dataset / "shards", output, "--steps", "2", "--method", "gated_conv")) == 0
    report = _read(output)
    assert report["method"] == "gated_conv"
    assert report["scores"].keys() >= {"psnr_hole", "ssim_hole", "l1_hole"}
    assert "miou" not in report["scores"]
    assert 0 < report["scores"]["l1_hole"] < 1
    assert report["scores"]["hole_ratio"] == 0.25
    assert report["images_per_second"] > 0
    assert 0 < report["data_wait_share"] < 1
    assert report["peak_memory_bytes"] > 2**20
    assert report["parameters"] > 0 < report["macs"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--size", "40"), "--size must be a multiple of 16, found 40"),
        (("--preset", "paper"), "--size must be at least 96 for the discriminator of --preset paper"),
        (("--resume",), "--resume continues from --checkpoint; name the file there"),
        (("--size", "64"), "smaller than the crop of 64"),
    ],
)
def test_what_the_user_can_fix_is_said_in_a_sentence(
    tiny_dataset: Path,
    tmp_path: Path,
    call: Callable[[list[str]], int],
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    sentence: str,
) -> None:
    assert call(_options(tiny_dataset / "shards", tmp_path / "report.json", "--steps", "1", *arguments)) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "report.json").exists()


@pytest.mark.slow
def test_the_bare_machine_of_these_tests_really_lacks_the_packages() -> None:
    probe = BARE_MACHINE.partition("script, *")[0] + "\nimport pyarrow"
    finished = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False, timeout=60)
    assert "pyarrow is not on this machine" in finished.stderr
