"""What Ray Serve puts before its HTTP proxy on this machine. The proxy's process imports it without PyTorch."""

from __future__ import annotations

import uvicorn.config
from starlette.middleware import Middleware

from pipelines.inference.server.door import Door
from pipelines.inference.server.limits import limits_from_environment

CALLBACK = f"{__name__}.middlewares"
"""For ``RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH``."""


def middlewares() -> list[Middleware]:
    """The door, with the limits that the environment says.

    Without it Ray's proxy takes in a body of any size as fast as it comes, obeys headers that change time
    limits and routing, and answers 500 where one of them is not UTF-8.
    """
    # Of uvicorn's two parsers, this one bounds the headers (64 KiB). Ray asks for whichever is installed.
    uvicorn.config.HTTP_PROTOCOLS["auto"] = uvicorn.config.HTTP_PROTOCOLS["h11"]
    return [Middleware(Door, limits=limits_from_environment())]
