"""Stage ``label``: automatic labels beside the shards; a note that people labelled, where they did."""

from __future__ import annotations

from pathlib import Path

from pipelines.data.shards.labels import LabelManifest
from pipelines.settings.params import Settings
from pipelines.storage.files import publish_folder


def run(settings: Settings, dataset: str, shards: Path, segmenter: Path, output: Path) -> None:
    """Label every sample of the shards with the segmenter of the stage ``fit_segmenter``.

    Args:
        shards, segmenter: folders of the stages ``shards`` and ``fit_segmenter``.
        output: folder to write; see :mod:`pipelines.data.shards.labels`. Where labels are people's,
            ``manifest.json`` says so and is alone.

    Raises:
        DataError: shards or segmenter are unfinished or of other settings.
        CheckpointError: the segmenter cannot be used.
    """
    if settings.labels_of(dataset).source == "human":
        with publish_folder(output) as folder:
            LabelManifest(source="human").write(folder)
        print(f"{output}: nothing is labelled, as labels.source is human")
        return
    # Heavy, and for nothing where labels are people's.
    from pipelines.data.labels.labelling import label_dataset

    label_dataset(settings, dataset, shards, segmenter, output)
