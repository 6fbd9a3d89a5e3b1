"""Promote: what the command does, without its printing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.registry.champions import ChampionMove, Champions, OvertakenError, State, shown
from pipelines.registry.decisions import DOCUMENT, RecordedDecision, record_decision, record_files
from pipelines.registry.gate.decision import interval, signed
from pipelines.registry.gate.gate import Judgement, judge
from pipelines.registry.gate.tables import to_document, to_json
from pipelines.registry.history import Say, Status, state_to_decide_on
from pipelines.settings.params import Settings
from pipelines.settings.program import program
from pipelines.tracking.released import ReleasedModels


@dataclass(frozen=True)
class Promotion:
    """What ``promote`` came to.

    Attributes:
        sentence: the status for people.
        judgement: None where the challenger is the champion already.
        evidence: address of the files written with the challenger; empty for a dry run.
        entry: the move of ``champion``, where there was one.
    """

    status: Status
    sentence: str
    judgement: Judgement | None = None
    evidence: str = ""
    entry: ChampionMove | None = None


_FIRST = (
    "`inpaint`, `app` and `serve` fill with it from then on, no longer with the shipped model, which was not compared "
    "with it: `--model shipped` names that one"
)
"""What the first promotion of a model changes."""


def promote(name: str, challenger: str, settings: Settings, *, dry_run: bool, say: Say) -> Promotion:
    """Make a version champion if the gate lets it pass.

    Args:
        challenger: a version's number, or an alias.
        dry_run: change nothing, neither in the registry nor in its files.

    Raises:
        TrackingError: the registry does not hold what is asked for, or cannot be used.
        UserError: as :func:`pipelines.registry.gate.gate.judge`.
    """
    models, champions = ReleasedModels(), Champions(name)
    version = models.version(name, challenger) if challenger.isdigit() else models.version_of_alias(name, challenger)
    state = state_to_decide_on(champions, dry_run, say)
    if version.version == state.champion:
        return Promotion(Status.DONE, f"version {version.version} of {name} is the champion already")
    champion = None if state.champion is None else models.version(name, state.champion)
    with TemporaryDirectory(prefix="sgenet-gate-") as workspace:
        judgement = judge(models, version, champion, settings, Path(workspace), say)
    if dry_run:
        return _dry_outcome(judgement, first=champion is None)
    at = datetime.now(UTC)
    files = {"decision.json": to_json(name, judgement), DOCUMENT: to_document(name, judgement)}
    evidence = record_files(version, at.strftime("%Y%m%dT%H%M%S.%f"), files)
    record = _record(judgement, at, evidence)
    record_decision(version, record)
    if not judgement.decision.promote:
        return Promotion(Status.REFUSED, f"refused: {_opponent(state)}", judgement, evidence)
    try:
        entry = champions.move("promotion", version.version, record.reasons, evidence)
    except OvertakenError as error:
        return Promotion(Status.OVERTAKEN, str(error), judgement, evidence)
    sentence = f"promoted: version {version.version} is champion"
    if entry.before != state.champion:
        sentence += (
            f"; {shown(entry.before)} became champion meanwhile, and this was judged against {shown(state.champion)}: "
            f"`{program()} promote --challenger {entry.before}` compares the two"
        )
    elif entry.before is None:
        sentence += f"; {_FIRST}"
    return Promotion(Status.DONE, sentence, judgement, evidence, entry)


def _dry_outcome(judgement: Judgement, first: bool) -> Promotion:
    if judgement.decision.promote:
        sentence = f"would promote version {judgement.challenger}{f': {_FIRST}' if first else ''}; nothing was changed"
        return Promotion(Status.DONE, sentence, judgement)
    return Promotion(Status.REFUSED, "would refuse; nothing was changed", judgement)


def _record(judgement: Judgement, at: datetime, evidence: str) -> RecordedDecision:
    decision, primary = judgement.decision, ""
    if decision.primary is not None:
        comparison = decision.primary.comparison
        change = signed(comparison.score, comparison.improvement.value)
        primary = f"{comparison.score} {change} [{interval(comparison)}], {comparison.improvement.num_images} images"
    return RecordedDecision(
        decision="promote" if decision.promote else "refuse",
        at=at.isoformat(timespec="seconds"),
        against=judgement.opponent,
        primary=primary,
        reasons="\n".join(decision.reasons),
        num_reasons=len(decision.reasons),
        evidence=evidence,
    )


def _opponent(state: State) -> str:
    return "there is still no champion" if state.champion is None else f"version {state.champion} stays champion"
