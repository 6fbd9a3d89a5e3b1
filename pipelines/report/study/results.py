"""What the votes of a study say, as files and on the terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pipelines.report.collect import DatasetResults
from pipelines.report.formats import to_markdown
from pipelines.report.study.plan import make_plan
from pipelines.report.study.preferences import ALL, Preference, count_preferences
from pipelines.report.study.votes import Choice, VoteBox
from pipelines.report.tables import Cell, Table
from pipelines.settings.program import program
from pipelines.storage.csv_text import csv_text
from pipelines.storage.files import publish_folder, reading
from sgenet.errors import DataError

PREFERENCES = "preferences.json"

_IDENTITY = ("shards_digest", "masks_digest", "weights_sha256")
"""What of an evaluation's summary says which fillings they were."""


@dataclass(frozen=True)
class StudyResults:
    """What people answered about the fillings of one dataset.

    Attributes:
        votes: how many answers count.
        ties: answers among them that cannot tell.
        outdated: answers on fillings that have since been made again; they do not count.
        left: answers among the decided that chose the left side: about half, where people look at the images.
        evaluated: from a method to what identifies its fillings.
        preferences: both directions of every two methods.
    """

    people: int
    votes: int
    ties: int
    outdated: int
    left: int
    evaluated: Mapping[str, Mapping[str, str | None]]
    preferences: Sequence[Preference]

    @property
    def sets(self) -> list[str]:
        """Mask sets that were voted on."""
        return list(dict.fromkeys(preference.mask_set for preference in self.preferences))


def count_results(results: DatasetResults, votes: Path) -> StudyResults:
    """Count the votes on the fillings that lie in the evaluations now.

    Raises:
        DataError: there are no votes, or nothing is evaluated that they could be on.
    """
    again = f"run `{program()} study --dataset {results.name}` and let people vote"
    if not votes.exists():
        raise DataError(f"{votes} does not exist: nobody has voted on {results.name} yet; {again}")
    box = VoteBox(votes)
    every = box.all()
    box.close()
    pairs = {pair.key: pair for mask_set in results.sets for pair in make_plan(results, mask_set).pairs}
    counted = [vote for vote in every if vote.pair in pairs]
    if not counted:
        old = f": its {len(every)} votes are on fillings that have since been made again" if every else ""
        raise DataError(f"{votes} holds no vote on the fillings of {results.name} as they are now{old}; {again}")
    voted = {name for vote in counted for name in (pairs[vote.pair].first, pairs[vote.pair].second)}
    return StudyResults(
        people=len({vote.voter for vote in counted}),
        votes=len(counted),
        ties=sum(vote.choice is Choice.TIE for vote in counted),
        outdated=len(every) - len(counted),
        left=sum(vote.choice is vote.on_left for vote in counted),
        evaluated={name: _identity(results, name) for name in sorted(voted)},
        preferences=count_preferences(pairs.values(), counted),
    )


def write_results(results: DatasetResults, votes: Path, folder: Path) -> StudyResults:
    """Count the votes and write ``preferences.json``, ``preferences.csv`` and ``table.md``.

    Raises:
        DataError: as :func:`count_results`, or the folder cannot be written.
    """
    found = count_results(results, votes)
    titles = titles_of(results)
    with publish_folder(folder) as output:
        (output / PREFERENCES).write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")
        (output / "preferences.csv").write_text(_csv(found.preferences), encoding="utf-8")
        markdown = "\n".join(to_markdown(table) for table in matrices(found, titles))
        (output / "table.md").write_text(markdown + "\n" + describe(found) + "\n", encoding="utf-8")
    return found


def read_results(folder: Path) -> StudyResults | None:
    """What :func:`write_results` wrote; None where it did not.

    Raises:
        DataError: the file is damaged.
    """
    path = folder / PREFERENCES
    if not path.exists():
        return None
    with reading(path, f"run `{program()} study --results`"):
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        content["preferences"] = [Preference(**row) for row in content["preferences"]]
        return StudyResults(**content)


def report_tables(results: DatasetResults, folder: Path) -> tuple[list[Table], str]:
    """The matrices and the sentences on them for the report; nothing and an empty text where nobody voted.

    Votes on other fillings than the report shows are not put beside them.

    Raises:
        DataError: as :func:`read_results`.
    """
    found = read_results(folder)
    if found is None:
        return [], ""
    if any(_identity(results, name) != identity for name, identity in found.evaluated.items()):
        return [], (
            "The votes are on fillings that have since been made again, and are not shown; "
            f"`python -m pipelines study --dataset {results.name}` asks again."
        )
    return matrices(found, titles_of(results)), describe(found)


def titles_of(results: DatasetResults) -> dict[str, str]:
    """How the tables call the methods, in the order of the report."""
    return {method.name: method.title for method in results.methods}


def matrices(found: StudyResults, titles: Mapping[str, str]) -> list[Table]:
    """A preference matrix over all images and one a stratum, for every mask set.

    The methods come in the order of their titles.
    """
    tables = []
    for mask_set in found.sets:
        rows = [preference for preference in found.preferences if preference.mask_set == mask_set]
        for stratum in dict.fromkeys(preference.stratum for preference in rows):
            scenes = "all scenes" if stratum == ALL else f"scenes of {stratum} complexity"
            cells = {(each.row, each.column): each for each in rows if each.stratum == stratum}
            title = f"Preferred over, holes: {mask_set}, {scenes}"
            tables.append(_matrix(title, f"preferences-{mask_set}-{stratum}", cells, titles))
    return tables


def describe(found: StudyResults) -> str:
    """How many people answered what, and how to read the tables."""
    decided = found.votes - found.ties
    lines = [
        f"{_count(found.people, 'person', 'people')}, {_count(found.votes, 'answer')}, "
        f"of which {found.ties} cannot tell; {found.left} of the {decided} others chose the left side.",
        "How often the row was preferred over the column among decided answers, with the 95 % Wilson interval; "
        "N decided + ties. The intervals take answers as independent, though each person gave several.",
    ]
    if found.outdated:
        lines.append(f"Not counted: {_count(found.outdated, 'answer')} on fillings that have since been made again.")
    return " ".join(lines)


def print_results(found: StudyResults, titles: Mapping[str, str]) -> None:
    """Show the matrices on the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Grid

    console = Console()
    for table in matrices(found, titles):
        grid = Grid(title=table.title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        for number, column in enumerate(table.columns):
            grid.add_column(column, justify="left" if number == 0 else "right")
        for row in table.rows:
            # The interval and the number below the share: a matrix of five methods fits into 100 characters.
            grid.add_row(*("\n".join(filter(None, (cell.text, *cell.detail.split("; ")))) for cell in row))
        console.print(grid)
    console.print(describe(found))


def _matrix(title: str, name: str, cells: Mapping[tuple[str, str], Preference], titles: Mapping[str, str]) -> Table:
    named = {name for pair in cells for name in pair}
    names = [name for name in titles if name in named]
    rows = [[Cell(titles[row]), *(_cell(row, column, cells) for column in names)] for row in names]
    return Table(title, ["preferred ↓ over →", *(titles[column] for column in names)], rows, name=name)


def _cell(row: str, column: str, cells: Mapping[tuple[str, str], Preference]) -> Cell:
    preference = cells.get((row, column))
    if preference is None:
        return Cell("" if row == column else "–")
    number = f"N {preference.decided} + {preference.ties}"
    if not preference.decided:
        return Cell("–", number)
    low, high = preference.interval
    # Beyond chance alone, where the whole interval is above a half.
    return Cell(_percent(preference.share) + " %", f"{_percent(low)} … {_percent(high)}; {number}", best=low > 0.5)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _csv(preferences: Sequence[Preference]) -> str:
    rows = []
    for each in preferences:
        numbers = (each.share, *each.interval)
        shares = ("" if math.isnan(number) else f"{number:.6f}" for number in numbers)
        rows.append([*asdict(each).values(), *shares])
    return csv_text([*(field.name for field in fields(Preference)), "share", "low", "high"], rows)


def _identity(results: DatasetResults, name: str) -> dict[str, str | None]:
    method = results.method(name)
    return {} if method is None else {key: method.summary.get(key) for key in _IDENTITY}


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
