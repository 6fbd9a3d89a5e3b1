"""A VGG's weights reach nodes through the storage, once, under their hash."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipelines.settings.params import CacheSettings
from pipelines.storage.store import open_storage
from pipelines.training import published_weights
from pipelines.training.job import TrainingJob
from pipelines.training.published_weights import fetch_weights, publish_weights, without_weights
from sgenet.label_space import LabelSpace
from sgenet.losses.vgg import imagenet_file
from sgenet.methods.edge_connect.settings import EdgeConnectSettings
from sgenet.methods.recipe import Recipe
from sgenet.settings import LossSettings


def _job(tmp_path: Path, method: str, recipe: Recipe) -> TrainingJob:
    return TrainingJob(
        run_key="key",
        dataset="mine",
        method=method,
        recipe=recipe,
        label_space=LabelSpace(("a", "b")),
        crop=32,
        holes=(),
        shards="",
        masks=None,
        validation_split="val",
        checkpoints="",
        cache=CacheSettings(folder=str(tmp_path / "node")),
    )


def _published(job: TrainingJob, root: str) -> TrainingJob:
    return replace(job, recipe=publish_weights(job.method, job.recipe, open_storage(root)), published=root)


@pytest.mark.parametrize("method", ["sge_net", "edge_connect"])
def test_a_node_without_the_file_gets_it_from_the_storage(tmp_path: Path, method: str) -> None:
    file, root = tmp_path / "vgg.pth", str(tmp_path / "storage")
    file.write_bytes(b"weights")
    recipe = Recipe(
        losses=LossSettings(perceptual_weights=str(file)),
        edge_connect=EdgeConnectSettings(perceptual_weights=str(file)),
    )
    published = _published(_job(tmp_path, method, recipe), root)
    file.unlink()
    fetched = fetch_weights(published).recipe
    local = (fetched.losses if method == "sge_net" else fetched.edge_connect).perceptual_weights
    assert Path(local).read_bytes() == b"weights"
    assert Path(local).is_relative_to(tmp_path / "node")
    other = fetched.edge_connect if method == "sge_net" else fetched.losses
    assert other.perceptual_weights == str(file)


@pytest.mark.parametrize("losses", [LossSettings(perceptual=0.0), LossSettings(perceptual_weights="random")])
def test_nothing_is_sent_where_no_file_is_needed(tmp_path: Path, losses: LossSettings) -> None:
    job = _job(tmp_path, "sge_net", Recipe(losses=losses))
    assert publish_weights(job.method, job.recipe, open_storage(str(tmp_path / "storage"))) is job.recipe
    assert fetch_weights(replace(job, published="s3://nowhere")).recipe is job.recipe
    assert not (tmp_path / "storage").exists()


def test_who_submits_needs_imagenet_s_weights_and_the_head_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, asked = str(tmp_path / "storage"), []
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))

    def download(depth: int, weights: str, setting: str) -> None:
        asked.append((depth, weights, setting))
        file = imagenet_file(16)
        file.parent.mkdir(parents=True)
        file.write_bytes(b"weights")

    monkeypatch.setattr(published_weights, "read_vgg_state", download)
    job = _job(tmp_path, "sge_net", Recipe(losses=LossSettings(perceptual_weights="imagenet")))
    _published(job, root)
    assert asked == [(16, "imagenet", "losses.perceptual_weights")]
    # Another machine, which has no such file and is asked for none.
    imagenet_file(16).unlink()
    local = fetch_weights(_published(job, root)).recipe.losses.perceptual_weights
    assert len(asked) == 1
    assert (Path(local).name, Path(local).read_bytes()) == (imagenet_file(16).name, b"weights")
    # Nor does it need one to take the result.
    assert without_weights(job).recipe.losses.perceptual_weights == "random"
