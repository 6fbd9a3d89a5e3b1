"""Waits until the cluster of ``RAY_ADDRESS`` has so many nodes: ``count_nodes.py <nodes> <seconds>``."""

from __future__ import annotations

import logging
import sys
import time

import ray


def main(expected: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            ray.init(log_to_driver=False, logging_level=logging.CRITICAL)
            while len([node for node in ray.nodes() if node["Alive"]]) != expected:
                if time.monotonic() > deadline:
                    sys.exit(f"the cluster has not {expected} nodes after {seconds} s: {ray.nodes()}")
                time.sleep(0.3)
            return
        except ConnectionError as error:
            if time.monotonic() > deadline:
                sys.exit(str(error))
            time.sleep(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
