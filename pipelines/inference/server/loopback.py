"""Pages that only this machine reaches, unless somebody asks for more."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.middleware import Middleware

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def guarded_names(host: str) -> list[Middleware]:
    """On loopback, the middleware that answers to no other name: a foreign page must not reach this one through a name
    of its own that leads here."""
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    if host not in _LOOPBACK:
        return []
    return [Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"])]


def warn_if_open(host: str) -> None:
    """Warn that others can reach the page, where they can."""
    if host not in _LOOPBACK:
        print("warning: others on this network can open the page; it asks for no password", flush=True)
