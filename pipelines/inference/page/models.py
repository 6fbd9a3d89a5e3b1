"""The models that the page offers, each loaded once and only a few held in memory."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.parallel.torch_thread import in_torch_thread
from pipelines.settings.titles import TITLES
from sgenet.errors import UserError
from sgenet.inpainter import Inpainter
from sgenet.methods.files import WEIGHTS

if TYPE_CHECKING:
    from pipelines.tracking.model_source import ModelSource

logger = logging.getLogger(__name__)

_Stamp = tuple[int, int] | None
"""Time of the last change (ns) and size (bytes) of a weights file; None where there is none."""


class ModelShelf:
    """The models to choose from, by the titles that people see. Safe to use from several threads.

    Args:
        find: lists the models there are; called again on every :meth:`refresh`.
        most_loaded: networks held in memory; the one unused for the longest is dropped first.
        load: makes an inpainter of a released model's folder.
    """

    def __init__(
        self,
        find: Callable[[], Sequence[ModelSource]],
        most_loaded: int,
        load: Callable[[Path], Inpainter] = Inpainter.load,
    ) -> None:
        self._find, self._load, self._most_loaded = find, load, most_loaded
        self._sources: dict[str, ModelSource] = {}
        self._loaded: OrderedDict[Path, tuple[_Stamp, Inpainter]] = OrderedDict()
        self._lock = threading.Lock()

    def refresh(self) -> list[str]:
        """Look for models again, and return all titles; the list stays as it was where that fails.

        Raises:
            UserError: there is no model, and never was.
        """
        try:
            found = {model_title(source): source for source in self._find()}
            if not found:
                raise UserError("there is no model to fill with; register one, or name one with --model")
        except UserError as error:
            if not self._sources:
                raise
            logger.warning("models cannot be listed: %s", error)
        else:
            self._sources = found
        return self.titles

    @property
    def titles(self) -> list[str]:
        """What there is to choose from, as of the last :meth:`refresh`."""
        return list(self._sources)

    def inpainter(self, title: str) -> Inpainter:
        """The network behind a title, loaded now or before.

        Raises:
            UserError: there is no such model any more, or it cannot be loaded.
        """
        source = self._sources.get(title)
        if source is None:
            raise UserError(f"the model {title} is no longer there; reload the page and choose another")
        # Loading inside the lock: two visitors who choose the same model wait for one load.
        with self._lock:
            stamp = _stamp(source.folder)
            if source.folder not in self._loaded or self._loaded[source.folder][0] != stamp:
                self._loaded[source.folder] = stamp, in_torch_thread(self._load, source.folder)
            self._loaded.move_to_end(source.folder)
            while len(self._loaded) > self._most_loaded:
                self._loaded.popitem(last=False)
            return self._loaded[source.folder][1]


def _stamp(folder: Path) -> _Stamp:
    """What changes when a model is retrained into the same folder."""
    try:
        found = (folder / WEIGHTS).stat()
    except OSError:
        return None  # what is wrong with it, its loading says
    return found.st_mtime_ns, found.st_size


def model_title(source: ModelSource) -> str:
    """What a person chooses by: the method, then where the model comes from."""
    version = f", version {source.version}" if source.version else ""
    return f"{method_title(source.method)} · {source.name}{version}"


def method_title(method: str) -> str:
    """``sge_net`` → ``SGE-Net``."""
    return TITLES.get(method, method)
