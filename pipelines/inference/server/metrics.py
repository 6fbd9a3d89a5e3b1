"""What a replica has answered, in the format of Prometheus."""

from __future__ import annotations

import os
import socket
import time

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OTHER = "other"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """Counts of one replica; each names itself in the label ``replica``, so that several add up.

    Args:
        paths: that are told apart; whatever else is asked for counts as ``other``.
    """

    def __init__(self, paths: frozenset[str]) -> None:
        self._paths, self._registry = paths, CollectorRegistry()
        self._replica = f"{socket.gethostname()}-{os.getpid()}"
        self._answers = Counter(
            "sgenet_answers", "Requests answered.", ("replica", "path", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "sgenet_answer_seconds",
            "Seconds until a request was answered.",
            ("replica", "path"),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._images = Counter("sgenet_images", "Images filled.", ("replica",), registry=self._registry)
        self._pixels = Counter("sgenet_pixels", "Pixels of the images filled.", ("replica",), registry=self._registry)

    def count_image(self, pixels: int) -> None:
        """Count a filled image."""
        self._images.labels(self._replica).inc()
        self._pixels.labels(self._replica).inc(pixels)

    def response(self) -> Response:
        """All counts as text."""
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    def around(self, application: ASGIApp) -> ASGIApp:
        """The application, its answers counted."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await application(scope, receive, send)
                return
            path = scope["path"] if scope["path"] in self._paths else _OTHER
            started = time.monotonic()

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self._answers.labels(self._replica, path, message["status"]).inc()
                    self._seconds.labels(self._replica, path).observe(time.monotonic() - started)
                await send(message)

            await application(scope, receive, noted)

        return counted
