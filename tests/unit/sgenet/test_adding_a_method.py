"""A method is added as CONTRIBUTING.md says: its blocks of code in a folder, and a line in the registry."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

PROGRAM = """
import sys
from pathlib import Path

import yaml

from pipelines.settings.load import parse
from pipelines.settings.titles import TITLES

raw = yaml.safe_load(Path(sys.argv[1]).read_text())
raw |= {"methods": ["toy"], "search": {}, "transfer": []}
raw["registry"] = raw["registry"] | {"method": "toy"}
raw["recipes"]["mixed_scenes"]["toy"] = {"kernel_size": 5}
recipe = parse(raw).recipes["mixed_scenes"]
assert "torch" not in sys.modules
assert (recipe.toy.kernel_size, TITLES["toy"]) == (5, "Toy")

from small import Diary, loader, small_recipe
from dataclasses import replace
from sgenet.label_space import LabelSpace
from sgenet.methods.build import build_method
from sgenet.methods.release import load_released, save_released
from sgenet.training.loop import fit
from sgenet.training.state import TrainingState

recipe = replace(small_recipe(steps=3), toy=recipe.toy)
state, diary = TrainingState(build_method("toy", recipe, 3), recipe), Diary()
fit(state, loader(), [diary])
assert [list(terms) for terms in diary.terms] == [["reconstruction"]] * 3
save_released(Path("model"), "toy", state.ema.network, recipe, LabelSpace(("a", "b", "c")))
assert load_released(Path("model")).recipe == recipe
print("added")
"""


@pytest.mark.slow
def test_the_walk_through_adds_a_method(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "sgenet", tmp_path / "sgenet", ignore=shutil.ignore_patterns("__pycache__"))
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n# (sgenet/methods/toy/\w+\.py)\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    for name, code in blocks:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(code, encoding="utf-8")
    registry = tmp_path / "sgenet/methods/registry.py"
    lines = registry.read_text(encoding="utf-8").replace("    LAMA,\n", "    LAMA,\n    TOY,\n")
    lines = lines.replace("\n_ALL = (", "\nfrom sgenet.methods.toy.spec import TOY\n\n_ALL = (")
    registry.write_text(lines, encoding="utf-8")
    paths = (tmp_path, ROOT, Path(__file__).parent)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM, str(ROOT / "params.yaml")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "added\n", done.stderr
