"""Errors a person can act on: one sentence that says what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Sequence


class UserError(Exception):
    """Something the user can fix. The command line prints the message and exits with 2."""


class DataError(UserError):
    """A dataset, shard, mask or image is not what it must be."""


class CheckpointError(UserError):
    """A checkpoint or weights file cannot be used."""


class SettingsError(UserError):
    """One or more settings are wrong; every problem is reported at once.

    Args:
        problems: one sentence each, naming the key, the value and the remedy.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        several = len(self.problems) > 1
        super().__init__("\n".join(f"- {problem}" if several else problem for problem in self.problems))

    def __reduce__(self) -> tuple[type[SettingsError], tuple[tuple[str, ...]]]:
        return type(self), (self.problems,)


class NonFiniteError(UserError):
    """A loss or a gradient became NaN or infinite; training stopped before the optimizer step."""


def one_line(error: object) -> str:
    """What an error says, in one line; its type where it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


def first_line(error: object) -> str:
    """The first line of what an error says; its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
