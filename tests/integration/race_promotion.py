"""A process that moves ``champion`` when told to: ``race_promotion.py VERSION``, then on stdin

``ready MODEL``   read the state, answer ``ready``
``go``            try to make VERSION champion, answer ``won`` or what it was told
``die MODEL``     write the record, and be killed before the alias follows
"""

from __future__ import annotations

import os
import signal
import sys

from pipelines.registry.champions import Champions, OvertakenError


def main(version: str) -> None:
    for line in sys.stdin:
        command, _, model = line.strip().partition(" ")
        if command == "ready":
            champions = Champions(model)
            state = champions.put_right()
            answer = "ready"
        elif command == "go":
            try:
                champions.move(state, "promotion", version, "a race")
                answer = "won"
            except OvertakenError as error:
                answer = str(error)
        else:
            champions = Champions(model)
            champions._follow = lambda: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
            champions.move(champions.put_right(), "promotion", version, "about to die")
        print(answer, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
