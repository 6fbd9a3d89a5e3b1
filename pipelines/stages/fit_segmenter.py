"""Stage ``fit_segmenter``: the segmenter that makes a dataset's automatic labels; nothing where people made them."""

from __future__ import annotations

from pathlib import Path

from pipelines.files import publish_folder
from pipelines.params import Settings
from pipelines.segmentation.manifest import SegmenterManifest


def run(settings: Settings, dataset: str, shards: Path, output: Path) -> None:
    """Fit a segmenter to the labelled pictures, or take the fitted one that the settings name.

    Args:
        settings: the whole of ``params.yaml``.
        dataset: which one.
        shards: folder of the stage of this name.
        output: folder to write: ``manifest.json``, which says ``human`` and is alone where labels are people's; else
            ``model.safetensors`` and ``model.json`` (not for ``transformers``, whose checkpoint stays where it is),
            ``losses.csv`` and ``validation.csv`` of a fitting, and ``report.json``, ``confusion.csv``, ``pictures.png``
            of held-out pictures.

    Raises:
        UserError: something the user can fix.
        pipelines.training.interruption.TrainingInterrupted: asked to stop; the state is stored.
    """
    labels = settings.labels_of(dataset)
    if labels.source == "human":
        with publish_folder(output) as folder:
            SegmenterManifest(source="human").write(folder)
        return
    # Heavy, and for nothing where labels are people's.
    from pipelines.segmentation.fit import fit_segmenter, take_segmenter

    (fit_segmenter if labels.checkpoint is None else take_segmenter)(settings, dataset, shards, output)
