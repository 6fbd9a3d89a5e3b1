"""Train and score a method on a machine that has PyTorch and none of the platform packages.

PYTHONPATH=. python benchmarks/train_bare.py SHARDS --method sge_net --preset paper --size 256 --compile

SHARDS is a folder of train-*.tar and val-*.tar as the stage ``shards`` writes them; neither the
Parquet index nor the manifest is needed. Wants numpy, Pillow, safetensors and torchmetrics beside PyTorch.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import resource
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from pipelines.data.shards.columns import Text
from pipelines.data.shards.loader import evaluation_batches, training_batches
from pipelines.data.shards.reader import ShardDataset
from pipelines.data.shards.sampler import training_order
from pipelines.data.shards.schema import ABSENT, LABEL_SUFFIX, META_SUFFIX, SampleTable, Span
from sgenet.batch import InpaintingBatch, Prediction, Uint8Batch, composite, to_uint8
from sgenet.errors import DataError, SettingsError, UserError
from sgenet.evaluation.evaluator import Evaluator
from sgenet.masks import HoleDrawer, centre_hole
from sgenet.methods.build import build_method, count_macs, count_parameters
from sgenet.methods.edge_connect.settings import EdgeConnectSettings
from sgenet.methods.gated_conv.settings import GatedConvSettings
from sgenet.methods.recipe import Recipe
from sgenet.methods.registry import METHODS
from sgenet.methods.sge_net.network import STRIDE
from sgenet.methods.spg_net.settings import SPGNetSettings
from sgenet.settings import (
    DiscriminatorSettings,
    HoleSettings,
    LossSettings,
    NetworkSettings,
    OptimizerSettings,
    TrainingSettings,
)
from sgenet.training.checkpoint import load_checkpoint, save_checkpoint
from sgenet.training.determinism import make_deterministic
from sgenet.training.loop import StepMetrics, fit
from sgenet.training.state import TrainingState
from sgenet.transforms import CentreCrop, TrainingTransform

PRESETS = {
    "tiny": Recipe(
        network=NetworkSettings(
            widths=(8, 8, 8, 8, 8), context_blocks=1, modulation_width=8, modulation_at="coarse", reliability_width=4
        ),
        discriminator=DiscriminatorSettings(width=4, num_layers=1),
        gated_conv=GatedConvSettings(width=8, discriminator_width=4),
        edge_connect=EdgeConnectSettings(width=8, num_blocks=1, discriminator_width=4),
        spg_net=SPGNetSettings(
            width=8, num_blocks=1, segmenter_width=4, discriminator=DiscriminatorSettings(width=4, num_layers=1)
        ),
    ),
    "small": Recipe(
        network=NetworkSettings(
            widths=(32, 64, 128, 256, 256), context_blocks=5, modulation_width=64, modulation_at="coarse"
        ),
        discriminator=DiscriminatorSettings(width=32),
        gated_conv=GatedConvSettings(width=24, discriminator_width=32),
        edge_connect=EdgeConnectSettings(width=32, num_blocks=4, discriminator_width=32),
        spg_net=SPGNetSettings(
            width=32, num_blocks=4, segmenter_width=16, discriminator=DiscriminatorSettings(width=32)
        ),
    ),
    "paper": Recipe(),
}
"""Sizes of the networks; all else is the same for all three."""

OPTIMIZER = OptimizerSettings(warmup_steps=100, decay_from=0.6)


def main() -> int:
    arguments = _parse()
    try:
        report = run(arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    text = json.dumps(report, indent=2) + "\n"
    if arguments.output is not None:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        partial = arguments.output.with_name(arguments.output.name + ".partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(arguments.output)
    print(text, end="")
    return 0


def run(arguments: argparse.Namespace) -> dict[str, object]:
    """Train as asked, score the averaged generator, and say how it went."""
    recipe = make_recipe(arguments)
    if arguments.deterministic:
        make_deterministic(torch.device(arguments.device))
    state = TrainingState(build_method(arguments.method, recipe, arguments.num_classes), recipe, arguments.device)
    if arguments.resume:
        load_checkpoint(state, arguments.checkpoint)
    resumed_after = state.step
    watch = Watch(arguments.warmup_steps, arguments.log_every, arguments.checkpoint_every, arguments.checkpoint)
    fit(state, _training_batches(arguments, recipe, state.step), [watch], until_step=arguments.until_step or None)
    if arguments.checkpoint is not None:
        save_checkpoint(state, arguments.checkpoint)
    return {
        "method": arguments.method,
        "preset": arguments.preset,
        "size": arguments.size,
        "recipe": dataclasses.asdict(recipe),
        "parameters": count_parameters(state.method.generator),
        "macs": count_macs(state.ema.network, arguments.size),
        "step": state.step,
        "resumed_after_step": resumed_after,
        **watch.summary(),
        "peak_memory_bytes": _peak_memory(state.device),
        "scores": score(state, arguments),
        "device": _device_name(state.device),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def make_recipe(arguments: argparse.Namespace) -> Recipe:
    """The preset with what the command line changes.

    Raises:
        SettingsError: the networks cannot work at this size.
    """
    preset = PRESETS[arguments.preset]
    smallest = preset.discriminator.smallest_image
    problems = []
    if arguments.size % STRIDE:
        problems.append(f"--size must be a multiple of {STRIDE}, found {arguments.size}")
    if arguments.size < smallest:
        problems.append(f"--size must be at least {smallest} for the discriminator of --preset {arguments.preset}")
    if arguments.resume and arguments.checkpoint is None:
        problems.append("--resume continues from --checkpoint; name the file there")
    if problems:
        raise SettingsError(problems)
    weights = arguments.perceptual_weights
    edge_connect = dataclasses.replace(preset.edge_connect, perceptual_weights=weights)
    spg_net = dataclasses.replace(preset.spg_net, perceptual_weights=weights)
    if not weights:
        edge_connect = dataclasses.replace(edge_connect, perceptual=0.0, style=0.0)
        # L1 and cross-entropy in the place of VGG-19, as in the recipes of params.yaml.
        spg_net = dataclasses.replace(spg_net, perceptual=0.0, reconstruction=10.0, segmentation=5.0)
    return dataclasses.replace(
        preset,
        network=dataclasses.replace(preset.network, image_size=arguments.size),
        losses=LossSettings(hole_weight=4.0, perceptual=0.1 if weights else 0.0, perceptual_weights=weights),
        edge_connect=edge_connect,
        spg_net=spg_net,
        optimizer=OPTIMIZER,
        training=TrainingSettings(
            steps=arguments.steps,
            batch_size=arguments.batch_size,
            seed=arguments.seed,
            precision=arguments.precision,
            compile=arguments.compile,
            loader_processes=arguments.loader_processes,
        ),
    )


@dataclass
class Watch:
    """A hook that shows, times and stores the training.

    Attributes:
        warmup_steps: steps of this run that are left out of the speed (compilation, choice of kernels).
        log_every, checkpoint_every: in steps; 0 never.
        checkpoint: where the state is stored; None nowhere.
    """

    warmup_steps: int
    log_every: int
    checkpoint_every: int
    checkpoint: Path | None
    seconds: list[float] = field(default_factory=list)
    data_seconds: list[float] = field(default_factory=list)
    num_images: list[int] = field(default_factory=list)
    losses: dict[str, float] = field(default_factory=dict)

    def after_step(self, state: TrainingState, metrics: StepMetrics) -> None:
        """Count the step; show and store at due ones."""
        self.seconds.append(metrics.seconds)
        self.data_seconds.append(metrics.data_seconds)
        self.num_images.append(metrics.num_images)
        if state.finished or (self.log_every and metrics.step % self.log_every == 0):
            self.losses = metrics.values()
            shown = "  ".join(f"{name} {value:.4g}" for name, value in self.losses.items())
            print(f"step {metrics.step}: {shown}  ({metrics.seconds:.3f} s)", file=sys.stderr, flush=True)
        if self.checkpoint is not None and self.checkpoint_every and metrics.step % self.checkpoint_every == 0:
            save_checkpoint(state, self.checkpoint)

    def summary(self) -> dict[str, object]:
        """Speed after the warm-up, and the losses shown last."""
        first = self.warmup_steps if len(self.seconds) > self.warmup_steps else 0
        seconds = sum(self.seconds[first:])
        return {
            "steps_timed": len(self.seconds) - first,
            "images_per_second": sum(self.num_images[first:]) / seconds if seconds else None,
            "data_wait_share": sum(self.data_seconds[first:]) / seconds if seconds else None,
            "seconds": sum(self.seconds),
            "losses": self.losses,
        }


def score(state: TrainingState, arguments: argparse.Namespace) -> dict[str, float]:
    """Scores of the averaged generator on the validation split, a centre hole of half the side, in float32."""
    table = scan_tars(arguments.shards, "val")
    rows = np.arange(len(table))[: arguments.val_images or None]
    dataset = ShardDataset(table.rows(rows), CentreCrop(arguments.size))
    hole_mask = torch.from_numpy(centre_hole(arguments.size, arguments.size, arguments.size // 2))
    evaluator = Evaluator(arguments.num_classes)
    with torch.inference_mode():
        for loaded in evaluation_batches(dataset, arguments.batch_size):
            holes = hole_mask.expand(len(loaded.keys), 1, -1, -1)
            image, holes, label = (tensor.to(state.device) for tensor in (loaded.image, holes, loaded.label))
            batch = InpaintingBatch.from_uint8(image, holes, label)
            prediction: Prediction = state.ema.network(batch.image, batch.hole_mask)
            inpainted = composite(to_uint8(prediction.image), image, holes)
            predicted = prediction.label_logits[0].argmax(dim=1) if prediction.label_logits else None
            evaluator.update(inpainted, image, holes, label, predicted)
    return {"images": float(len(evaluator.scores)), **evaluator.summary()}


def _training_batches(arguments: argparse.Namespace, recipe: Recipe, start: int) -> Iterator[Uint8Batch]:
    size = arguments.size
    holes = (
        HoleSettings(kind="centre", size=size // 2, weight=2.0),
        HoleSettings(kind="rectangles"),
        HoleSettings(kind="strokes"),
    )
    table = scan_tars(arguments.shards, "train")
    dataset = ShardDataset(table, TrainingTransform(size, recipe.augmentation), HoleDrawer(holes, size, size))
    training = recipe.training
    sampler = training_order(table, training.batch_size, training.seed, training.window_gigabytes)
    return training_batches(dataset, sampler, start=start, processes=recipe.training.loader_processes, crop=size)


def scan_tars(folder: Path, split: str) -> SampleTable:
    """The samples of a split from the headers of its shards, for a machine that cannot read Parquet."""
    paths = sorted(folder.glob(f"{split}-??????.tar"))
    rows: list[tuple[str, int, Span, Span, tuple[int, int], int]] = []
    for shard, path in enumerate(paths):
        with tarfile.open(path) as tar, path.open("rb") as file:
            samples: dict[str, dict[str, Span]] = {}
            for member in tar:
                key, _, suffix = member.name.partition(".")
                samples.setdefault(key, {})[suffix] = Span(member.offset_data, member.size)
            for key, members in samples.items():
                file.seek(members[META_SUFFIX].offset)
                meta = json.loads(file.read(members[META_SUFFIX].size))
                image = members.get("jpg") or members["png"]
                size = meta["width"], meta["height"]
                rows.append((key, shard, image, members.get(LABEL_SUFFIX, ABSENT), size, meta["num_classes"]))
    if not rows:
        raise DataError(f"{folder} holds no samples in shards named {split}-000000.tar and so on; check the folder")
    keys, shards, images, labels, sizes, num_classes = zip(*rows, strict=True)
    return SampleTable(
        folder=folder,
        digest="",
        shard_names=Text.of(path.name for path in paths),
        shard_bytes=np.array([path.stat().st_size for path in paths], np.int64),
        shard_ends=np.searchsorted(shards, np.arange(len(paths)), side="right"),
        keys=Text.of(keys),
        split_names=(split,),
        split_ids=np.zeros(len(keys), np.uint8),
        shard_ids=np.array(shards, np.int32),
        image_spans=np.array(images, np.int64),
        label_spans=np.array(labels, np.int64),
        sizes=np.array(sizes, np.int32),
        num_classes=np.array(num_classes, np.int32),
    )


def _peak_memory(device: torch.device) -> int:
    """Most bytes that tensors took on a GPU, or the process took on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kibibytes * (1 if sys.platform == "darwin" else 1024)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()


def _parse() -> argparse.Namespace:
    on_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shards", type=Path, help="folder of train-*.tar and val-*.tar")
    parser.add_argument("--method", choices=sorted(METHODS), default="sge_net")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="small", help="size of the networks")
    parser.add_argument("--size", type=int, default=256, help="side of the crop in pixels")
    parser.add_argument("--num-classes", type=int, default=8, help="classes of the shards' labels")
    parser.add_argument("--steps", type=int, default=1000, help="the schedule's length")
    parser.add_argument("--until-step", type=int, default=0, help="stop earlier, to be resumed (0: do not)")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cuda" if on_gpu else "cpu")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--compile", action="store_true", help="run the generator through torch.compile")
    parser.add_argument("--deterministic", action="store_true", help="the same losses every time, at some cost")
    parser.add_argument("--loader-processes", type=int, default=2, help="0 decodes in the training process")
    parser.add_argument(
        "--perceptual-weights", default="", help="state file of the VGG or 'random'; none leaves its terms out"
    )
    parser.add_argument("--checkpoint", type=Path, help="where the state is stored")
    parser.add_argument("--checkpoint-every", type=int, default=0, help="in steps; the end always counts")
    parser.add_argument("--resume", action="store_true", help="continue from --checkpoint")
    parser.add_argument("--warmup-steps", type=int, default=10, help="left out of the speed")
    parser.add_argument("--log-every", type=int, default=50)
    parser.add_argument("--val-images", type=int, default=0, help="score the first so many only (0: all)")
    parser.add_argument("--output", type=Path, help="where the report (JSON) is written")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
