"""Tracking stores for tests: MLflow takes three seconds to make the tables of one, and a moment to copy them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient


def make_store(folder: Path) -> str:
    """Write a tracking store without runs as ``mlflow.db`` into a folder; its address."""
    folder.mkdir(exist_ok=True)
    file = folder / "mlflow.db"
    file.write_bytes(_empty_store())
    return f"sqlite:///{file}"


@cache
def _empty_store() -> bytes:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "mlflow.db"
        MlflowClient(f"sqlite:///{file}").search_experiments()
        return file.read_bytes()
