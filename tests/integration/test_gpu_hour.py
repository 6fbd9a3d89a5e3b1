"""``benchmarks/gpu_hour.py`` as it is run on a rented GPU, at sizes that a CPU does in seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_every_section_is_measured_and_written_down(tmp_path: Path) -> None:
    written = tmp_path / "gpu_hour.json"
    command = [sys.executable, "benchmarks/gpu_hour.py", "--device", "cpu", "--tiny", "--output", str(written)]
    ended = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(written.read_text())
    assert {"agreement", "step", "memory", "loop", "loader", "checkpoint", "use"} <= found.keys()
    assert "FAILED" not in ended.stdout
    # The CPU against itself.
    assert found["agreement"] == {"losses of two steps with the CPU's": 0.0}
    assert found["step"]["eager, batch 4"] > 0
    assert found["memory"]["batch 4, tensors of a step"] > found["memory"]["batch 2, tensors of a step"] > 0
    assert found["loader"]["first batch"] > 0
    assert found["machine"]
    assert found["sizes"] == "tiny"
