"""How fast images are labelled, by one worker and by two, over processes and over Ray.

python benchmarks/labelling.py [--images 640] [--size 256] [--precision float32]

The embedded landscapes in shards of 16, DeepLab v3+ (ResNet-34) and a small Deep Parsing Network, not fitted, which
takes as long. A worker computes with one thread. Start-up is what workers take before their first image: Python,
PyTorch and the segmenter (in this process, the segmenter alone); the rate is that of the time after each of them has
done a shard.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from contextlib import nullcontext, redirect_stdout
from functools import partial
from pathlib import Path

import torch
from mixed_scenes import processor
from rates import ray_cluster, spread

from pipelines.data.labels.labelling import LabelledShard, Labelling, label_shard, plan_labelling
from pipelines.data.shards.index import open_index
from pipelines.settings.labels import LabelSettings
from pipelines.settings.load import load
from pipelines.settings.params import Settings
from pipelines.stages import fit_segmenter, index, shards
from sgenet.segmenters.build import build_segmenter
from sgenet.segmenters.release import save_segmenter

DATASET = "mixed_scenes"
SHARD_IMAGES = 16
RECIPES = {
    "deeplab_v3_plus": {"deeplab": {"encoder": "resnet34"}},
    "deep_parsing": {"deep_parsing": {"width": 32, "context_width": 512, "local_window": 25}},
}


def main() -> None:
    """Print a table: segmenter, who labels, images/s, how many times that of one worker, start-up."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--images", type=int, default=640)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    options = parser.parse_args()
    print(
        f"{options.images} images of {options.size}×{options.size}, {options.precision}; "
        f"{processor()}, PyTorch {torch.__version__}\n"
    )
    print("| segmenter | labelled by | images/s | to one worker | start-up |")
    print("| --- | --- | --: | --: | --: |")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        settings = _settings(options, root)
        data = settings.data[DATASET]
        index.run(data, root / "sources.parquet")
        shards.run(data, root / "sources.parquet", root / "shards")
        for segmenter in RECIPES:
            for first, second in (("this process", "two processes"), ("a Ray worker", "two Ray workers")):
                one = None
                for number, who in enumerate((first, second), start=1):
                    over_ray = who.endswith(("worker", "workers"))
                    with ray_cluster(number) if over_ray else nullcontext():
                        rate, start = _measure(settings, segmenter, root, number, over_ray)
                    one = one or rate
                    print(f"| {segmenter} | {who} | {rate:.1f} | × {rate / one:.2f} | {start:.1f} s |", flush=True)


def _settings(options: argparse.Namespace, root: Path) -> Settings:
    settings = load(Path("params.yaml"))
    data = settings.data[DATASET]
    source = data.sources[0].model_copy(
        update={"train": options.images, "val": 1, "size": (options.size, options.size)}
    )
    changes = {"sources": (source,), "shorter_side": options.size, "samples_per_shard": SHARD_IMAGES}
    return settings.model_copy(
        update={
            "data": {DATASET: data.model_copy(update=changes)},
            "labels": {DATASET: LabelSettings(precision=options.precision)},
            "storage": str(root / "storage"),
        }
    )


def _measure(settings: Settings, segmenter: str, root: Path, workers: int, over_ray: bool) -> tuple[float, float]:
    """Images a second from when all workers have done a shard to the end, and the seconds of start-up before."""
    labelling = _plan(settings, segmenter, root, f"{segmenter}-{workers}-{over_ray}")
    names = open_index(root / "shards").shard_names
    rate = spread(partial(_label, labelling), names, workers, over_ray)
    return rate.images_per_second, rate.start_up


def _label(labelling: Labelling, name: str) -> int:
    torch.set_num_threads(1)
    shard: LabelledShard = label_shard(labelling, name)
    return len(shard.rows)


def _plan(settings: Settings, segmenter: str, root: Path, name: str) -> Labelling:
    """The labelling of a segmenter that was built and not fitted, its results kept in a place of its own."""
    before = settings.labels_of(DATASET)
    labels = LabelSettings.model_validate(
        {
            "source": "auto",
            "segmenter": segmenter,
            "recipe": RECIPES[segmenter],
            "precision": before.precision,
            "checkpoint": str(root / name / "fitted"),
        }
    )
    settings = settings.model_copy(update={"labels": {DATASET: labels}, "storage": str(root / name)})
    space = settings.data[DATASET].labels
    network = build_segmenter(segmenter, labels.recipe, space.num_classes)
    save_segmenter(root / name / "fitted", segmenter, network, labels.recipe, space)
    with redirect_stdout(io.StringIO()):  # how good it is, which nothing has taught it to be
        fit_segmenter.run(settings, DATASET, root / "shards", root / name / "segmenter")
    return plan_labelling(settings, DATASET, root / "shards", root / name / "segmenter")


if __name__ == "__main__":
    main()
