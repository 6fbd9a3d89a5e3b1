"""What all settings of the platform are."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Settings that refuse unknown keys and stay as they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)
