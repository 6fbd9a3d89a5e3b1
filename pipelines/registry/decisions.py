"""What the gate decided about a version, written to the version: tags for a glance, files for the whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import mlflow.artifacts

from pipelines.settings.program import program
from pipelines.tracking.address import TrackingError, open_client, store_errors
from pipelines.tracking.released import StoredVersion

DOCUMENT = "decision.md"
"""What people read of a decision, among its files."""

_DECISION, _DETAILS = "gate.decision", "gate.details"
_LONGEST = 2000  # characters of the reasons; databases behind a store keep 5000 and more of a tag


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
        identity: tells this decision from others about the version.
        files: content by name.

    Raises:
        TrackingError: the version has no run, or the store cannot be used.
    """
    if not version.run_id:
        raise TrackingError(
            f"version {version.version} of {version.name} has no run to keep the decision with; register it with "
            f"`{program()} register --dataset DATASET`"
        )
    folder = f"promotion/{version.name}-v{version.version}/{identity}"
    client = open_client()
    with store_errors(_failed(version)):
        for name, text in files.items():
            client.log_text(version.run_id, text, f"{folder}/{name}")
    return f"runs:/{version.run_id}/{folder}"


def record_decision(version: StoredVersion, decision: RecordedDecision) -> None:
    """Write a decision to the version's tags, over an earlier one.

    Raises:
        TrackingError: the store cannot be used.
    """
    client = open_client()
    with store_errors(_failed(version)):
        details = asdict(decision) | {"reasons": decision.reasons[:_LONGEST]}
        del details["decision"]
        for key, value in ((_DETAILS, json.dumps(details, ensure_ascii=False)), (_DECISION, decision.decision)):
            client.set_model_version_tag(version.name, version.version, key, value)


def recorded_decision(version: StoredVersion) -> RecordedDecision | None:
    """The last decision about a version; None where the gate has not seen it."""
    if _DECISION not in version.tags or _DETAILS not in version.tags:
        return None
    return RecordedDecision(decision=version.tags[_DECISION], **json.loads(version.tags[_DETAILS]))


def decision_document(record: RecordedDecision) -> str:
    """All that was recorded of a decision, as Markdown: every reason, check and score.

    Raises:
        TrackingError: the store cannot be used, or its files are gone.
    """
    open_client()
    with store_errors(f"{record.evidence}/{DOCUMENT} cannot be read"):
        return mlflow.artifacts.load_text(f"{record.evidence}/{DOCUMENT}")


def _failed(version: StoredVersion) -> str:
    return f"the decision about version {version.version} of {version.name} cannot be written"
