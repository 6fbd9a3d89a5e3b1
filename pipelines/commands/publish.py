"""``python -m pipelines publish``: put prepared data where the machines of a cluster can read them."""

from __future__ import annotations

import argparse

from pipelines.commands.common import add_params, check_dataset
from sgenet.errors import CheckpointError, UserError

HELP = "Publish a dataset's shards and masks in the storage, for jobs on a cluster."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings and the dataset."""
    add_params(parser)
    parser.add_argument("--dataset", required=True, help="a name in datasets of the settings file")


def execute(options: argparse.Namespace) -> None:
    """Publish what the stages ``shards``, ``masks`` and, where labels are automatic, ``label`` wrote, and note where in
    ``published/<dataset>.json``; and the VGG of the losses, so that no machine of the cluster needs to download it.

    Raises:
        UserError: the storage is a folder of this machine, or the data are not prepared.
    """
    from pipelines.settings.layout import DatasetPaths
    from pipelines.settings.load import load
    from pipelines.storage.store import open_storage
    from pipelines.training.inputs import publish_dataset
    from pipelines.training.published_weights import publish_weights

    settings = load(options.params)
    check_dataset(settings, options.dataset)
    if "://" not in settings.storage:
        raise UserError(
            f"a cluster reads data from S3, but storage is the folder '{settings.storage}'; set it to s3://bucket/prefix"
            f" in {options.params}"
        )
    paths = DatasetPaths(options.dataset)
    labels = settings.labels_of(options.dataset).automatic(paths.labels)
    storage = open_storage(settings.storage)
    publish_dataset(storage, paths.shards, paths.masks, labels).write(paths.published)
    for method in settings.methods:
        try:
            publish_weights(method, settings.recipes[options.dataset], storage)
        except CheckpointError as error:
            print(f"weights of {method} are not published, each node has to download them: {error}")
    print(f"{options.dataset} is in {settings.storage}; {paths.published} lists the files, and is uploaded with a job")
