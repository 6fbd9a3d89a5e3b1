"""What ``ray job submit --working-dir .`` sends, by Ray's own packaging: code and settings, no data, no secrets."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from infra_files import ROOT
from ray._private.ray_constants import get_runtime_env_default_excludes
from ray._private.runtime_env.packaging import create_package

MOST_BYTES = 30 << 20

LEFT_OUT = (
    "infra/.env",
    ".env",
    ".git/objects/pack",
    ".venv/lib/torch.so",
    ".dvc/cache/files",
    "data/mixed_scenes/shards/train-00000.tar",
    "raw/cityscapes/image.png",
    "runs/mixed_scenes/sge_net/model/model.safetensors",
    "storage/checkpoints/abc/step-00000100.pt",
    "search/mixed_scenes/sge_net/best.yaml",
    "mlflow/mlflow.db",
    "report/index.html",
    "sgenet/__pycache__/batch.cpython-311.pyc",
    ".pytest_cache/README.md",
    "training.log",
)
"""What lies in a working folder and must not travel."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package that Ray makes of a checkout in which everything has been run, .gitignore not counted."""
    checkout = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git repository")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, checkout / name)
    for name in LEFT_OUT:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_bytes(b"not for a job")
    target = tmp_path_factory.mktemp("package") / "package.zip"
    create_package(str(checkout), target, include_gitignore=False, excludes=get_runtime_env_default_excludes())
    return target


def _names(package: Path) -> set[str]:
    with zipfile.ZipFile(package) as content:
        return set(content.namelist())


def test_neither_data_nor_secrets_travel(package: Path) -> None:
    assert _names(package) & set(LEFT_OUT) == set()


def test_a_job_has_its_code_and_settings(package: Path) -> None:
    names = _names(package)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "sgenet", "pipelines"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    needed = {name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()}
    assert needed | {"params.yaml", "dvc.yaml"} <= names


def test_the_package_is_small(package: Path) -> None:
    """Ray refuses more than 512 MiB, and every node fetches it."""
    assert package.stat().st_size < MOST_BYTES
