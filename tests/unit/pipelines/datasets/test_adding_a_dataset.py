"""A dataset is added as CONTRIBUTING.md says: its class of settings, its file, and a line where each is listed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[4]

PROGRAM = """
import sys
from pipelines.data.adapters.build import build_adapters
from pipelines.settings.params import DataSettings

raw = {"label_space": {"names": ["a", "b", "c"]}, "shorter_side": 8, "crop": 8}
data = DataSettings.model_validate(raw | {"sources": [{"adapter": "toy", "root": sys.argv[1]}]})
[(name, adapter)] = build_adapters(data)
print(name, [(sample.key, sample.split) for sample in adapter.samples()])
"""


def test_the_walk_through_adds_a_dataset(tmp_path: Path) -> None:
    package = tmp_path / "code/pipelines"
    shutil.copytree(ROOT / "pipelines", package, ignore=shutil.ignore_patterns("__pycache__", "shipped"))
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    settings, adapter = (
        re.findall(rf"```python\n# {name}\n(.*?)```", text, re.DOTALL)[0]
        for name in ("pipelines/settings/sources.py", "pipelines/data/adapters/toy.py")
    )
    _edit(package / "settings/sources.py", "\nAnySource = ", f"\n{settings}\n\nAnySource = ")
    _edit(package / "settings/sources.py", "    | FolderSource,\n", "    | FolderSource\n    | ToySource,\n")
    (package / "data/adapters/toy.py").write_text(adapter, encoding="utf-8")
    _edit(package / "data/adapters/build.py", "\nADAPTERS", "\nfrom pipelines.data.adapters.toy import toy\n\nADAPTERS")
    _edit(package / "data/adapters/build.py", '    "folder": folder,\n', '    "folder": folder,\n    "toy": toy,\n')

    for split in ("train", "val"):
        for folder, suffix in (("photos", "jpg"), ("maps", "png")):
            path = tmp_path / f"raw/{split}/{folder}/{split}1.{suffix}"
            path.parent.mkdir(parents=True)
            Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path / "code"), str(ROOT)))}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "raw")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout == "toy [('train1', 'train'), ('val1', 'val')]\n", done.stderr


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new), encoding="utf-8")
