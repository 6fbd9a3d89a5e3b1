"""Stage ``fit_segmenter``: the segmenter of a dataset; nothing where no labels and no score ask for one."""

from __future__ import annotations

from pathlib import Path

from pipelines.data.labels.manifest import SegmenterManifest
from pipelines.settings.params import Settings
from pipelines.storage.files import publish_folder


def run(settings: Settings, dataset: str, shards: Path, output: Path) -> None:
    """Fit a segmenter to the labelled images, or take the fitted one that the settings name.

    Args:
        shards: folder of the stage of this name.
        output: folder to write: ``manifest.json``, which is alone where nothing asks for a segmenter; else also
            ``model.safetensors`` and ``model.json`` (not for ``transformers``, whose checkpoint stays where it is),
            ``losses.csv`` and ``validation.csv`` of a fitting, and ``report.json``, ``confusion.csv``, ``images.png``
            of held-out images.

    Raises:
        UserError: something the user can fix.
        pipelines.training.interruption.TrainingInterrupted: asked to stop; the state is stored.
    """
    labels = settings.labels_of(dataset)
    if not labels.needs_segmenter:
        with publish_folder(output) as folder:
            SegmenterManifest().write(folder)
        print(f"{output}: no segmenter, since labels.{dataset} asks for none")
        return
    # Heavy, and for nothing otherwise.
    from pipelines.training.segmenter_fit import fit_segmenter, take_segmenter

    if labels.checkpoint is None:
        fit_segmenter(settings, dataset, shards, output)
        origin = f"fitted for {labels.recipe.training.steps:,} steps"
    else:
        take_segmenter(settings, dataset, shards, output)
        origin = f"taken from {labels.checkpoint}"
    print(f"{output}: the segmenter {labels.segmenter}, {origin}")
