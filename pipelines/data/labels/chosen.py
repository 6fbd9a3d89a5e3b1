"""The segmenter that the stage ``fit_segmenter`` chose for a dataset, and where it lies."""

from __future__ import annotations

from pathlib import Path

from pipelines.data.labels.manifest import SegmenterManifest
from pipelines.data.labels.opened import SegmenterPlace
from pipelines.parallel.device import device_of_workers
from pipelines.settings.params import Settings
from sgenet.errors import DataError


def chosen_segmenter(settings: Settings, dataset: str, folder: Path) -> SegmenterPlace:
    """The segmenter that the settings ask for.

    Args:
        folder: of the stage ``fit_segmenter``.

    Raises:
        DataError: the stage has not run with these settings.
        SettingsError: a GPU is asked for and there is none on this machine, where it does the work.
    """
    manifest, wanted = SegmenterManifest.read(folder), settings.labels_of(dataset).segmenter
    if manifest.sha256 is None or manifest.segmenter != wanted:
        raise DataError(
            f"{folder} holds {manifest.segmenter or 'no segmenter'}, but labels.{dataset} asks for {wanted}; run the "
            "stage fit_segmenter again"
        )
    return segmenter_place(settings, dataset, folder, manifest.sha256)


def segmenter_of_filled(settings: Settings, dataset: str, folder: Path) -> SegmenterPlace | None:
    """The segmenter of the dataset, for its filled images; None where the settings ask for none.

    Raises:
        DataError, SettingsError: see :func:`chosen_segmenter`.
    """
    return chosen_segmenter(settings, dataset, folder) if settings.labels_of(dataset).needs_segmenter else None


def segmenter_place(settings: Settings, dataset: str, folder: Path, sha256: str) -> SegmenterPlace:
    """Where workers find the segmenter that lies in a folder of the stage ``fit_segmenter``.

    Raises:
        SettingsError: a GPU is asked for and there is none on this machine, where it does the work.
    """
    return SegmenterPlace(
        folder=segmenter_folder(settings, dataset, folder),
        sha256=sha256,
        label_space=settings.data[dataset].labels,
        settings=settings.labels_of(dataset),
        device=device_of_workers(settings.run),
    )


def segmenter_folder(settings: Settings, dataset: str, folder: Path) -> Path:
    """Where the weights lie: a checkpoint of ``transformers`` stays where it is, as it may be large."""
    labels = settings.labels_of(dataset)
    return Path(labels.checkpoint or "") if labels.segmenter == "transformers" else folder
