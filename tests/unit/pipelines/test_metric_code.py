"""Which code a score was taken with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pipelines.evaluation import code
from pipelines.storage import code as source_code

ROOT = Path(__file__).resolve().parents[3]


def test_the_digest_of_the_metric_code_sees_a_changed_line_and_a_changed_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = code.digest_metric_code()
    packages = {name: tmp_path / name for name in source_code.PACKAGES}
    for name, folder in packages.items():
        shutil.copytree(ROOT / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(source_code, "_package_folder", packages.__getitem__)
    source_code._imports.cache_clear()
    assert code.digest_metric_code() == digest
    (packages["sgenet"] / "methods" / "release.py").write_text("# what is scored does not score\n")
    assert code.digest_metric_code() == digest
    with (packages["sgenet"] / "evaluation" / "metrics.py").open("a") as file:
        file.write("# edited\n")
    edited = code.digest_metric_code()
    monkeypatch.setattr(code.importlib.metadata, "version", lambda name: "0.0")
    assert len({digest, edited, code.digest_metric_code()}) == 3
