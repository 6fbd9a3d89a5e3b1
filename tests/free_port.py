"""A port for a server that a test starts."""

from __future__ import annotations

import random
import socket

# Below the ports that Linux hands out by itself (32768 and above by default): between the moment a port is found
# free and the moment the server listens on it, no connection of another test can take it.
_PORTS = range(20_000, 32_000)
_given: set[int] = set()


def free_port() -> int:
    """A port that nothing listens on, on any address of this machine; never the same twice in a process."""
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port
