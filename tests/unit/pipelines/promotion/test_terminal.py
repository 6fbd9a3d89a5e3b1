"""What a person reads of decisions, on a terminal of 80 columns."""

from __future__ import annotations

import io
import json

from rich.console import Console, RenderableType
from score_tables import table

from pipelines.registry.decisions import recorded_decision
from pipelines.registry.gate.decision import decide
from pipelines.registry.gate.gate import Judgement
from pipelines.registry.gate.tables import to_terminal
from pipelines.registry.terminal import decisions_grid
from pipelines.settings.params import PromotionSettings
from pipelines.tracking.released import StoredVersion

REASONS = [f"PSNR is worse with the holes 'set {number}': -0.96, beyond the tolerance of 0.1" for number in range(25)]


def printed(part: RenderableType) -> str:
    text = io.StringIO()
    Console(file=text, width=80).print(part)
    return text.getvalue()


def stored(**details: object) -> StoredVersion:
    details = {"at": "2026-11-30T23:44:31", "against": "version 1", "primary": "", "evidence": ""} | details
    tags = {"gate.decision": "refuse", "gate.details": json.dumps(details)}
    return StoredVersion(name="m", version="2", aliases=(), method="sge_net", weights_sha256="", tags=tags)


def test_the_history_has_a_row_a_decision_with_the_first_reason_and_how_many_more_there_are() -> None:
    # The tag holds as many reasons as fit into it.
    record = recorded_decision(stored(reasons="\n".join(REASONS[:20]), num_reasons=25))
    assert record is not None
    shown = printed(decisions_grid([("2", record), ("3", record)]))
    assert shown.count("and 24 more") == shown.count("'set 0'") == shown.count("tolerance of 0.1") == 2
    assert "set 1'" not in shown
    assert len(shown.splitlines()) <= 16


def test_a_refusal_says_its_first_reasons_and_where_the_rest_is() -> None:
    worse = table(seed=1, psnr=-2.0, psnr_hole=-2.0, ssim=-0.2)
    decision = decide(table(), worse, PromotionSettings())
    assert len(decision.reasons) > 6
    shown = printed(to_terminal("m", Judgement("2", "version 1", "", {}, decision)))
    box = shown[shown.index("does not pass") :]
    assert box.count("✗ ") == 5 + 1
    assert f"and {len(decision.reasons) - 5} more, each marked ✗ above" in box


def test_what_kept_models_from_being_compared_is_said_in_full() -> None:
    other = table(count=5)
    decision = decide(table(), other, PromotionSettings())
    shown = " ".join(printed(to_terminal("m", Judgement("2", "version 1", "", {}, decision))).replace("│", " ").split())
    assert not decision.comparisons
    assert all(" ".join(reason.split()) in shown for reason in decision.reasons)
