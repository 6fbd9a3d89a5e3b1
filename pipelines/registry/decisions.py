"""What the gate decided about a version, written to the version: tags for a glance, files for the whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mlflow.artifacts

from pipelines.settings.program import program
from pipelines.tracking.address import TrackingError, open_client, tracking_uri
from pipelines.tracking.released import StoredVersion
from pipelines.tracking.store import store_errors

DOCUMENT = "decision.md"
"""What people read of a decision, among its files."""

_PREFIX = "gate."
_LONGEST = 2000  # characters of a tag's value; databases behind a store keep 5000 and more


@dataclass(frozen=True, kw_only=True)
class RecordedDecision:
    """The last decision about a version.

    Attributes:
        decision: ``promote`` or ``refuse``.
        at: when, UTC.
        against: what it was compared with.
        primary: the primary score's improvement, in words.
        reasons: sentences, a line each; of many the first.
        num_reasons: how many there were.
        evidence: address of the folder with ``decision.json`` and :data:`DOCUMENT`.
    """

    decision: str
    at: str
    against: str
    primary: str
    reasons: str
    num_reasons: int
    evidence: str


def record_files(version: StoredVersion, identity: str, files: Mapping[str, str]) -> str:
    """Store text files with the version's run and return the address of their folder.

    Args:
        version: the challenger.
        identity: tells this decision from others about the version.
        files: content by name.

    Raises:
        TrackingError: the version has no run, or the store cannot be used.
    """
    if not version.run_id:
        raise TrackingError(
            f"version {version.version} of {version.name} has no run to keep the decision with; register it with "
            f"`{program()} register`"
        )
    folder = f"promotion/{version.name}-v{version.version}/{identity}"
    client = open_client()
    with store_errors(tracking_uri(), _failed(version)):
        for name, text in files.items():
            client.log_text(version.run_id, text, f"{folder}/{name}")
    return f"runs:/{version.run_id}/{folder}"


def record_decision(version: StoredVersion, decision: RecordedDecision) -> None:
    """Write a decision to the version's tags, over an earlier one.

    Raises:
        TrackingError: the store cannot be used.
    """
    client = open_client()
    with store_errors(tracking_uri(), _failed(version)):
        for key, value in vars(decision).items():
            client.set_model_version_tag(version.name, version.version, _PREFIX + key, str(value)[:_LONGEST])


def recorded_decision(version: StoredVersion) -> RecordedDecision | None:
    """The last decision about a version; None where the gate has not seen it."""
    values: dict[str, Any] = {key: version.tags.get(_PREFIX + key, "") for key in RecordedDecision.__dataclass_fields__}
    # Earlier decisions were recorded without their number.
    values["num_reasons"] = int(values["num_reasons"] or len(values["reasons"].splitlines()))
    return RecordedDecision(**values) if values["decision"] else None


def decision_document(record: RecordedDecision) -> str:
    """All that was recorded of a decision, as Markdown: every reason, check and score.

    Raises:
        TrackingError: the store cannot be used, or its files are gone.
    """
    open_client()
    with store_errors(tracking_uri(), f"{record.evidence}/{DOCUMENT} cannot be read"):
        return mlflow.artifacts.load_text(f"{record.evidence}/{DOCUMENT}")


def _failed(version: StoredVersion) -> str:
    return f"the decision about version {version.version} of {version.name} cannot be written"
