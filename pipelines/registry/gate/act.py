"""Promote, roll back, look back: what the commands do, without their printing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.registry.champions import ChampionMove, Champions, OvertakenError, State, shown
from pipelines.registry.decisions import RecordedDecision, record_decision, record_files, recorded_decision
from pipelines.registry.gate.decision import interval, signed
from pipelines.registry.gate.gate import Judgement, Say, judge
from pipelines.registry.gate.tables import to_document, to_json
from pipelines.settings.params import Settings
from pipelines.tracking.released import ReleasedModels
from sgenet.errors import UserError


class Status(IntEnum):
    """How a command ended: its exit status, where 1 and 2 are taken by failures."""

    DONE = 0
    REFUSED = 3
    OVERTAKEN = 4


@dataclass(frozen=True)
class Promotion:
    """What ``promote`` came to.

    Attributes:
        status: of the command.
        sentence: the same for people.
        judgement: None where the challenger is the champion already.
        evidence: address of the files written with the challenger; empty for a dry run.
        entry: the move of ``champion``, where there was one.
    """

    status: Status
    sentence: str
    judgement: Judgement | None = None
    evidence: str = ""
    entry: ChampionMove | None = None


@dataclass(frozen=True)
class Rollback:
    """What ``rollback`` came to; ``entry`` is None for a dry run."""

    sentence: str
    before: str
    after: str
    entry: ChampionMove | None = None


@dataclass(frozen=True)
class ChampionHistory:
    """Every move of ``champion``, and the last decision about every version that the gate saw.

    Attributes:
        note: said where the champion was set outside of these commands and that is not noted yet.
    """

    name: str
    state: State
    decisions: Sequence[tuple[str, RecordedDecision]]
    note: str


def default_model(settings: Settings) -> str:
    """The registered model of the settings' dataset.

    Raises:
        UserError: there are several datasets, so several models.
    """
    names = [f"{settings.registry.name}-{dataset}" for dataset in settings.datasets]
    if len(names) > 1:
        raise UserError(f"params.yaml names several datasets; say which model with --model: {', '.join(names)}")
    return names[0]


def promote(name: str, challenger: str, settings: Settings, *, dry_run: bool, say: Say) -> Promotion:
    """Make a version champion if the gate lets it pass.

    Args:
        name: of the registered model.
        challenger: a version's number, or an alias.
        settings: the whole of ``params.yaml``.
        dry_run: change nothing, neither in the registry nor in its files.
        say: receives progress messages.

    Raises:
        TrackingError: the registry does not hold what is asked for, or cannot be used.
        UserError: as :func:`pipelines.registry.gate.gate.judge`.
    """
    models, champions = ReleasedModels(), Champions(name)
    version = models.version(name, challenger) if challenger.isdigit() else models.version_of_alias(name, challenger)
    state = _ready(champions, dry_run, say)
    if version.version == state.champion:
        return Promotion(Status.DONE, f"version {version.version} of {name} is the champion already")
    champion = None if state.champion is None else models.version(name, state.champion)
    with TemporaryDirectory(prefix="sgenet-gate-") as workspace:
        judgement = judge(models, version, champion, settings, Path(workspace), say)
    if dry_run:
        return _dry_outcome(judgement)
    at = datetime.now(UTC)
    files = {"decision.json": to_json(name, judgement), "decision.md": to_document(name, judgement)}
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
            f"`sgenet promote --challenger {entry.before}` compares the two"
        )
    return Promotion(Status.DONE, sentence, judgement, evidence, entry)


def roll_back(name: str, reason: str, *, dry_run: bool, say: Say) -> Rollback:
    """Make the previous champion champion again.

    Args:
        name: of the registered model.
        reason: kept in the history.
        dry_run: change nothing.
        say: receives further findings.

    Raises:
        TrackingError: there is no earlier champion, or the registry cannot be used.
        OvertakenError: another command moved ``champion`` at the same time.
    """
    models, champions = ReleasedModels(), Champions(name)
    models.versions_of(name)  # says so where there is no such model
    state = _ready(champions, dry_run, say)
    earlier = state.previous
    existing = {version.version for version in models.versions_of(name)}
    while earlier and earlier[-1] not in existing:
        say(f"version {earlier.pop()} was champion before, but does not exist any more; going further back")
    if not earlier:
        raise UserError(
            f"{name} has no earlier champion to go back to; `python -m pipelines history` shows all of them"
        )
    before, after = state.champion or "none", earlier[-1]
    if dry_run:
        return Rollback(f"would roll back from version {before} to version {after}; nothing was changed", before, after)
    entry = champions.move("rollback", after, reason)
    return Rollback(f"rolled back from version {before}: version {after} is champion", before, after, entry)


def look_back(name: str) -> ChampionHistory:
    """Who was champion when and why; nothing is changed.

    Raises:
        TrackingError: there is no such model, or the registry cannot be used.
    """
    versions = ReleasedModels().versions_of(name)
    state = Champions(name).look()
    found = ((version.version, recorded_decision(version)) for version in versions)
    return ChampionHistory(name, state, [(number, record) for number, record in found if record], _note(state))


def _ready(champions: Champions, dry_run: bool, say: Say) -> State:
    """The state to decide on. A champion set outside of these commands is said, and noted unless nothing may change."""
    state = champions.look()
    if note := _note(state):
        say(note)
    return state if dry_run else champions.note_outside()


def _note(state: State) -> str:
    if state.champion == state.noted:
        return ""
    return (
        f"the champion is {shown(state.champion)}, where the last command left {shown(state.noted)}: it was set "
        "outside of these commands, which counts; the next promote or rollback notes it in the history"
    )


def _dry_outcome(judgement: Judgement) -> Promotion:
    if judgement.decision.promote:
        sentence = f"would promote version {judgement.challenger}; nothing was changed"
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
        evidence=evidence,
    )


def _opponent(state: State) -> str:
    return "there is still no champion" if state.champion is None else f"version {state.champion} stays champion"
