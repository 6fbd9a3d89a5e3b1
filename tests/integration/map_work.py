"""What the workers of ``test_ray_map.py`` are given to do, and the command that gives it to them."""

from __future__ import annotations

import json
import os
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.parallel.parallel import parallel_map
from sgenet.errors import DataError, SettingsError


def slower_when_smaller(number: int) -> int:
    time.sleep(0.02 * (4 - number))
    return number * number


def process(number: int) -> int:
    return os.getpid()


def refuse_three(number: int) -> int:
    if number == 3:
        raise DataError("number 3 is unusable; take another")
    return number


def refuse_settings(number: int) -> None:
    raise SettingsError(["one problem", "another"])


def divide(number: int) -> float:
    return 1 / number


def read_relative(name: str) -> str:
    return Path(name).read_text()


def die_once(number: int, folder: Path) -> int:
    """Like a worker that the machine runs out of memory under, once."""
    if number == 1:
        try:
            (folder / "died").mkdir()
        except FileExistsError:
            return number
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def outcome(*given: Any, **named: Any) -> Any:
    """Results, or class, sentence and cause of what was raised."""
    try:
        return list(parallel_map(*given, **named))
    except Exception as error:
        return [type(error).__name__, str(error), type(error.__cause__).__name__]


class Counted:
    """Items that tell how many were taken before the first result was used."""

    def __init__(self, number: int) -> None:
        self.number, self.taken = number, 0

    def __iter__(self):
        for item in range(self.number):
            self.taken += 1
            yield item


def main(folder: Path) -> dict[str, Any]:
    (folder / "0").write_text("zero")
    (folder / "1").write_text("one")
    many = Counted(1000)
    results = parallel_map(slower_when_smaller_of_many, many, total=1000)
    next(results)
    taken = many.taken
    results.close()
    return {
        "order": outcome(slower_when_smaller, range(5)),
        "taken": taken,
        "elsewhere": os.getpid() not in outcome(process, range(4)),
        "sentence": outcome(refuse_three, range(6)),
        "settings": outcome(refuse_settings, range(2)),
        "bug": outcome(divide, [1, 0]),
        "relative": outcome(read_relative, ["0", "1"]),
        "died once": outcome(partial(die_once, folder=folder), range(3)),
        "died": outcome(die, range(2)),
        "leftovers": sorted(path.name for path in folder.iterdir()),
    }


def slower_when_smaller_of_many(number: int) -> int:
    return number


if __name__ == "__main__":
    print(json.dumps(main(Path.cwd())))
