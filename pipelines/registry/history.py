"""Reads the history of ``champion`` and rolls it back; no model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from pipelines.registry.champions import ChampionMove, Champions, State, shown
from pipelines.registry.decisions import RecordedDecision, recorded_decision
from pipelines.settings.params import Settings
from pipelines.settings.program import program
from pipelines.tracking.released import ReleasedModels
from sgenet.errors import UserError

Say = Callable[[str], None]
"""Receives progress messages."""


class Status(IntEnum):
    """How a command ended: its exit status, where 1 and 2 are taken by failures."""

    DONE = 0
    REFUSED = 3
    OVERTAKEN = 4


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
        note: the sentence to report where the champion was set outside of these commands and that is not noted yet.
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


def roll_back(name: str, reason: str, *, dry_run: bool, say: Say) -> Rollback:
    """Make the previous champion champion again.

    Raises:
        TrackingError: there is no earlier champion, or the registry cannot be used.
        OvertakenError: another command moved ``champion`` at the same time.
    """
    models, champions = ReleasedModels(), Champions(name)
    versions = {version.version for version in models.versions_of(name)}  # an error where there is no such model
    state = state_to_decide_on(champions, dry_run, say)
    earlier = state.previous
    while earlier and earlier[-1] not in versions:
        say(f"version {earlier.pop()}, an earlier champion, was deleted; trying the one before")
    if not earlier:
        raise UserError(
            f"{name} has no earlier champion to go back to; `{program()} history` shows all of them, and "
            "`--model shipped` fills with the model that comes with the code"
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


def state_to_decide_on(champions: Champions, dry_run: bool, say: Say) -> State:
    """The state to decide on. A champion set outside of these commands is reported, and noted unless in a dry run."""
    state = champions.look()
    if note := _note(state):
        say(note)
    return state if dry_run else champions.note_outside()


def _note(state: State) -> str:
    if state.champion == state.noted:
        return ""
    return (
        f"the champion is {shown(state.champion)}, but the last recorded decision set {shown(state.noted)}: the alias "
        "was changed elsewhere, such as in the MLflow UI, which counts; the next promote or rollback records it"
    )
