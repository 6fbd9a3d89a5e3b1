"""What a person is asked in a study, and what an answer means."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from pipelines.report.study.plan import Pair, Plan, first_stands_left, next_pair
from pipelines.report.study.votes import Choice, Vote, VoteBox

ANSWERS = ("left", "tie", "right")


@dataclass(frozen=True)
class Question:
    """A pair as it is shown to a person, the ``number``-th from 1: an answer means what was seen."""

    pair: Pair
    on_left: Choice
    number: int

    def choice(self, answer: str) -> Choice:
        """Which method an answer, one of :data:`ANSWERS`, prefers."""
        if answer == "tie":
            return Choice.TIE
        return Choice.FIRST if (answer == "left") == (self.on_left is Choice.FIRST) else Choice.SECOND


@dataclass(frozen=True)
class Interview:
    """Asks people.

    Attributes:
        votes: where the answers go; must know the plan's pairs.
        seed: of the order and the sides.
        per_person: so many pairs each person is asked at most.
    """

    plan: Plan
    votes: VoteBox
    seed: int
    per_person: int

    @property
    def total(self) -> int:
        """Pairs each person is asked."""
        return min(self.per_person, len(self.plan.pairs))

    def question(self, person: str) -> Question | None:
        """What to ask a person next; None where they have answered all.

        Args:
            person: the random number that their browser keeps.
        """
        voter = _voter(person)
        answered = self.votes.answered(voter) & {pair.key for pair in self.plan.pairs}
        if len(answered) >= self.total:
            return None
        pair = next_pair(self.plan.pairs, self.votes.counts(), answered, voter, self.seed)
        assert pair is not None
        on_left = Choice.FIRST if first_stands_left(pair, voter, self.seed) else Choice.SECOND
        return Question(pair, on_left, len(answered) + 1)

    def answer(self, person: str, question: Question, answer: str) -> bool:
        """Store an answer, on the disk when this returns.

        Returns:
            False where the person has answered this pair before and otherwise: the first answer counts.

        Raises:
            sqlite3.Error: it could not be stored.
        """
        choice = question.choice(answer)
        counted = self.votes.record(Vote(_voter(person), question.pair.key, choice, question.on_left))
        return counted is choice

    def images(self, question: Question) -> dict[str, bytes]:
        """PNG files by their place: ``left``, ``hole``, ``right``."""
        fillings = (question.pair.first_hash, question.pair.second_hash)
        left, right = fillings if question.on_left is Choice.FIRST else reversed(fillings)
        names = {"left": left, "hole": question.pair.corrupted_hash, "right": right}
        return {place: self.plan.images[name] for place, name in names.items()}


def new_person() -> str:
    """A random number for a browser that has none."""
    return secrets.token_hex(16)


def _voter(person: str) -> str:
    """Who voted, in the file: whoever reads it cannot vote in their place."""
    return hashlib.sha256(person.encode()).hexdigest()[:32]
