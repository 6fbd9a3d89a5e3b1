"""What the page accepts: how large an image, how many people at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PageLimits:
    """The bounds that keep one visitor from taking the machine from the others.

    Args:
        pixels: in an image.
        file_bytes: in an uploaded file.
        request_bytes: in any other request: a layer that was painted.
        waiting: fillings that wait for their turn, as one runs at a time; more are refused.
        sessions: visitors whose image is kept; the one idle for the longest is forgotten first.
        models: networks held in memory.
    """

    pixels: int = 64_000_000
    file_bytes: int = 128 * 1024 * 1024
    request_bytes: int = 8 * 1024 * 1024
    waiting: int = 8
    sessions: int = 16
    models: int = 3
