"""A dataset whose holes have one right answer, and models that are right to a known degree.

Every image is dark with a bright square in its middle, which the hole hides. A model that paints one
grey value is the better, the nearer it is to the square's 200; the mean colour of what is left is far off.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from mlflow import MlflowClient
from PIL import Image
from tiny import tiny_params

from pipelines.settings.layout import DatasetPaths
from pipelines.settings.load import load
from pipelines.settings.params import Settings
from pipelines.stages import evaluate, index, masks, register, shards
from pipelines.tracking.runs import close_run, open_run
from sgenet.methods.build import build_generator
from sgenet.methods.release import save_released

DATASET, METHOD, NAME = "squares", "sge_net", "sge-net-squares"
NUM_IMAGES = 48
LEVELS = (120, 180, 90)
"""Grey values that versions 1, 2, … paint: the first beats the baseline, the second the first, the third neither."""


@dataclass(frozen=True)
class World:
    """A working folder with data and a registry that holds a version for each of :data:`LEVELS`."""

    root: Path
    settings: Settings

    @property
    def client(self) -> MlflowClient:
        """Of the registry."""
        return MlflowClient()

    def model(self, name: str, *levels: int) -> str:
        """A registered model of its own with versions that paint these levels, the last one the candidate."""
        for level in levels:
            copied = self.client.copy_model_version(f"models:/{NAME}/{LEVELS.index(level) + 1}", name)
        self.client.set_registered_model_alias(name, "candidate", copied.version)
        return name

    def champion(self, name: str) -> str | None:
        """Where the alias points."""
        aliases = self.client.get_registered_model(name).aliases
        return str(aliases["champion"]) if "champion" in aliases else None


def make_world(root: Path, levels: Sequence[int] = LEVELS) -> World:
    """Fill a folder, which must be the working folder, and register a version for each level in the tracking store."""
    for number in range(NUM_IMAGES):
        _write_image(root / "raw", number)
    (root / "params.yaml").write_text(yaml.safe_dump(_params(root)))
    settings = load(root / "params.yaml")
    data, paths = settings.data[DATASET], DatasetPaths(DATASET)
    index.run(data, paths.sources, workers=1)
    shards.run(data, paths.sources, paths.shards, workers=1)
    masks.run(settings.masks[DATASET], settings.evaluation, data, paths.shards, paths.masks)
    world = World(root, settings)
    for level in levels:
        add_version(world, level)
    return world


def add_version(world: World, level: float, *, code_digest: str | None = None) -> str:
    """Train (so to speak), evaluate and register a model that paints one level; its version.

    Args:
        code_digest: say that other metric code scored it.
    """
    folder = world.root / "models" / f"{level}-{code_digest}"
    recipe, labels = world.settings.recipes[DATASET], world.settings.data[DATASET].labels
    generator = build_generator(METHOD, recipe, 3)
    head = generator.image_heads[0]
    with torch.no_grad():
        head.weight.zero_()
        head.bias.fill_(math.atanh(level / 127.5 - 1))
    save_released(folder / "model", METHOD, generator, recipe, labels)
    run_id = open_run(DATASET, f"run-{level}", name=f"{DATASET}/{METHOD}", params={})
    close_run(run_id, "FINISHED")
    facts = {"run_id": run_id, "run_key": f"run-{level}", "steps": 1, "digests": {}}
    (folder / "model" / "training.json").write_text(json.dumps(facts))
    paths = DatasetPaths(DATASET)
    evaluate.run(
        world.settings,
        DATASET,
        METHOD,
        paths.shards,
        paths.masks,
        paths.segmenter,
        folder / "model",
        folder / "evaluation",
        folder / "metrics.json",
    )
    if code_digest is not None:
        path = folder / "evaluation" / "evaluation.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "code_digest": code_digest}))
    output = folder / "registered.json"
    register.run(world.settings, DATASET, METHOD, folder / "model", folder / "evaluation", output)
    return str(json.loads(output.read_text())["version"])


def _params(root: Path) -> dict[str, Any]:
    params = tiny_params(DATASET, root, root / "storage")
    params["data"][DATASET]["sources"][0]["val_ratio"] = 0.5
    params["masks"][DATASET]["evaluation"].append({"name": "small", "hole": {"kind": "centre", "size": 8}})
    # Figures take longer than all else of an evaluation, and nobody looks at these.
    params["evaluation"] = {"num_figure_images": 1, "num_worst_images": 0}
    # The machine that runs this may be busy: what is slow is tested elsewhere.
    params["promotion"] = {"latency_slack": 10.0}
    return params


def _write_image(root: Path, number: int) -> None:
    rng = np.random.default_rng(number)
    label = np.zeros((36, 40), np.uint8)
    if number % 2:
        label[:, 30:] = 1
    square = (slice(11, 25), slice(13, 27))
    label[square] = 2
    level = np.full((36, 40, 1), 60.0)
    level[square] = 200
    image = np.clip(level + rng.normal(0, 10, (36, 40, 3)), 0, 255).astype(np.uint8)
    for kind, pixels in (("images", image), ("labels", label)):
        path = root / kind / f"image-{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
