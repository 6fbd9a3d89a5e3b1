"""What the gate decided about a version, written to the version: tags for a glance, files for the whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from pipelines.tracking.address import TrackingError, open_client, tracking_uri
from pipelines.tracking.released import StoredVersion
from pipelines.tracking.store import store_errors

_DECISION, _DETAILS = "gate.decision", "gate.details"
_LONGEST = 2000  # characters of one of the details; databases behind a store keep 5000 and more of a tag


@dataclass(frozen=True, kw_only=True)
class RecordedDecision:
    """The last decision about a version.

    Attributes:
        decision: ``promote`` or ``refuse``.
        at: when, UTC.
        against: what it was compared with.
        primary: the primary score's improvement, in words.
        reasons: sentences.
        evidence: address of the folder with ``decision.json`` and ``decision.md``.
    """

    decision: str
    at: str
    against: str
    primary: str
    reasons: str
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
            "`python -m pipelines register`"
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
        details = {key: value[:_LONGEST] for key, value in asdict(decision).items() if key != "decision"}
        for key, value in ((_DETAILS, json.dumps(details, ensure_ascii=False)), (_DECISION, decision.decision)):
            client.set_model_version_tag(version.name, version.version, key, value)


def recorded_decision(version: StoredVersion) -> RecordedDecision | None:
    """The last decision about a version; None where the gate has not seen it."""
    if _DECISION not in version.tags or _DETAILS not in version.tags:
        return None
    return RecordedDecision(decision=version.tags[_DECISION], **json.loads(version.tags[_DETAILS]))


def _failed(version: StoredVersion) -> str:
    return f"the decision about version {version.version} of {version.name} cannot be written"
