"""The settings of every dataset that this repository describes, as one file would hold them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pipelines.settings.load import parse
from pipelines.settings.params import Settings

ROOT = Path(__file__).parents[1]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


def every_dataset() -> dict[str, Any]:
    """``params.yaml``, in which the datasets of ``configs/`` stand beside its own, presets as they are."""
    raw: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for path in CONFIGS:
        other = yaml.safe_load(path.read_text(encoding="utf-8"))
        for section in ("data", "labels", "masks", "recipes"):
            raw[section] |= other[section]
    return raw


def settings_of_every_dataset() -> Settings:
    """The same, parsed."""
    return parse(every_dataset())
