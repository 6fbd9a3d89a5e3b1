"""What is compared in docs/results.md: trainings on real photographs, for `comparison.py` to run.

A comparison has one dataset of `configs/` and its recipe; a training in it is a method and a seed, with settings of its
own where these are what is compared, and for as long as the others on one core unless that is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sgenet.methods.registry import METHODS

BUDGET = {"budget": "wall_clock", "seconds": 2100.0, "validate_every": 250, "precision": "float32"}
"""What a training has unless it says otherwise: 35 minutes of a core. In float32, so that processors with and without
bfloat16 do the same arithmetic."""


@dataclass(frozen=True)
class Training:
    """One training of a comparison.

    Attributes:
        method: its name.
        seed: of weights, order and holes.
        variant: what is different in it, as its row says; empty for the recipe of the comparison.
        recipe: settings of it alone.
    """

    method: str
    seed: int = 1
    variant: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """In folders and on the command line."""
        variant = "_".join(re.findall(r"\w+", self.variant))
        return "-".join(filter(None, (self.method, variant, str(self.seed))))

    @property
    def remark(self) -> str:
        """What its row says beside the method's title."""
        return ", ".join(["", *filter(None, (self.variant, f"seed {self.seed}" if self.seed > 1 else ""))])


@dataclass(frozen=True)
class Comparison:
    """Trainings with the same data.

    Attributes:
        dataset: of ``config``.
        config: a file in ``configs``.
        trainings: in the order of the tables.
        settings: besides those of the file.
        budget: of every training that has none of its own.
        texture: how holes are filled at the evaluation.
    """

    dataset: str
    config: str
    trainings: Sequence[Training]
    settings: Mapping[str, Any] = field(default_factory=dict)
    budget: Mapping[str, Any] = field(default_factory=lambda: BUDGET)
    texture: Sequence[str] = ("network", "exemplar")


_TWICE = ("sg_net", "sge_net")
_SMALL: dict[str, Any] = {
    "data": {"outdoor_mix": {"shorter_side": 64, "train_shorter_side": 96, "crop": 64}},
    "masks": {
        "outdoor_mix": {
            "training": [
                {"kind": "centre", "size": 32, "weight": 4},
                {"kind": "rectangles", "weight": 2},
                {"kind": "strokes"},
                {"kind": "medium"},
            ],
            "evaluation": [
                {"name": "centre", "hole": {"kind": "centre", "size": 32}},
                {"name": "irregular", "hole": {"kind": "files", "path": "../shared/data/irregular_masks"}},
            ],
        }
    },
}


def _minutes(number: float) -> dict[str, Any]:
    return {"training": {"seconds": 60.0 * number}}


_SHORT = {"steps": 300, "validate_every": 300, "precision": "float32"}
_FRACTION = {"network": {"tau": {"rule": "fraction_of_max"}}}
_GIVEN = {"guidance": {"given": 0.4}}
_CONFIGS = Path(__file__).resolve().parents[1] / "configs"

_PHOTOGRAPHS = {
    "masks": {"small_photos": {"evaluation": _SMALL["masks"]["outdoor_mix"]["evaluation"]}},
    # The steps that the segmenter of the kept trainings had in its 20 minutes.
    "labels": {"small_photos": {"score_filled": True, "recipe": {"training": {"steps": 246}}}},
    "recipes": {
        "small_photos": {
            # Those of the preset; the file has those of the last part of the shipped model's training.
            "start_from": "none",
            "losses": {"perceptual": 0.0},
            "optimizer": {"generator_lr": 5.0e-4},
            "gated_conv": {"width": 32, "discriminator_width": 32},
            "edge_connect": {"width": 32, "discriminator_width": 32, "perceptual": 0.0, "style": 0.0},
            "spg_net": {
                "width": 32,
                "segmenter_width": 16,
                "discriminator": {"width": 32, "num_layers": 2},
                "perceptual": 0.0,
            },
            "lama": {
                "width": 32,
                "discriminator_width": 32,
                "perceptual_weights": "../shared/data/weights/vgg16_photographs.pth",
            },
        }
    },
}
"""The compared methods as published, at half their widths; without VGG-19, whose weights are not at hand."""

_STEPS_OF_75_MINUTES = {
    "base_net": 7500,
    "sg_net": 6200,
    "sge_net": 5500,
    "gated_conv": 3300,
    "edge_connect": 1600,
    "spg_net": 2550,
    "lama": 1600,
}
"""Of one core of an AMD EPYC, two trainings at a time, so that machines that differ give every method the same time."""

_STEPS = {"budget": "steps", "seconds": 0.0, "validate_every": 500, "precision": "float32"}


def _segmenter(steps: int) -> dict[str, Any]:
    """The segmenter of outdoor_photos, fitted for fewer steps, for the scores of filled images."""
    labels = yaml.safe_load((_CONFIGS / "outdoor_photos.yaml").read_text(encoding="utf-8"))["labels"]["outdoor_photos"]
    recipe = labels["recipe"] | {"training": labels["recipe"]["training"] | {"steps": steps}}
    return {"labels": {"outdoor_mix": {"score_filled": True, "segmenter": labels["segmenter"], "recipe": recipe}}}


_PLAIN = {
    "network": {"start": "grey"},
    "losses": {"hole_weight": 0.0, "structural": 0.0, "psnr": 0.0, "segmentation": 0.1, "adversarial": 0.0},
    "gated_conv": {"adversarial": 0.0},
    "edge_connect": {"adversarial": 0.0},
}


def _at_64(
    trainings: Sequence[Training],
    budget: Mapping[str, Any] = _SHORT,
    settings: Mapping[str, Any] | None = None,
) -> Comparison:
    """One on outdoor_mix, reduced to 64×64."""
    return Comparison(
        "outdoor_mix", "outdoor_photos.yaml", trainings, {**_SMALL, **(settings or {})}, budget, ("network",)
    )


COMPARISONS = {
    "outdoor_mix": Comparison(
        "outdoor_mix",
        "outdoor_photos.yaml",
        [Training(name, seed) for name in METHODS for seed in ((1, 2) if name in _TWICE else (1,))],
    ),
    "photographs": Comparison(
        "small_photos",
        "../pipelines/registry/shipped/params.yaml",
        [
            Training(name, seed, recipe={"training": {"steps": steps}})
            for name, steps in _STEPS_OF_75_MINUTES.items()
            for seed in ((1, 2) if name in _TWICE else (1,))
        ]
        + [
            Training(
                "sge_net",
                variant="nothing transplanted",
                recipe={
                    "training": {"steps": _STEPS_OF_75_MINUTES["sge_net"]},
                    "guidance": {"transplanted": 0.0},
                },
            )
        ],
        _PHOTOGRAPHS,
        _STEPS,
    ),
    "nothing_transplanted": Comparison(
        "small_photos",
        "../pipelines/registry/shipped/params.yaml",
        [
            Training(
                name,
                seed,
                recipe={"training": {"steps": _STEPS_OF_75_MINUTES[name]}, "guidance": {"transplanted": 0.0}},
            )
            for name in ("base_net", *_TWICE)
            for seed in (1, 2)
        ],
        _PHOTOGRAPHS,
        _STEPS,
    ),
    "camvid": Comparison(
        "camvid", "camvid.yaml", [Training(name) for name in ("sg_net", "sge_net", "gated_conv", "edge_connect")]
    ),
    "start_from": Comparison(
        "camvid",
        "camvid.yaml",
        [
            Training("sge_net", 1, "10 min from the shipped model", {"start_from": "shipped"} | _minutes(10)),
            Training("sge_net", 1, "10 min from nothing", _minutes(10)),
            Training("sge_net", 1, "30 min from nothing", _minutes(30)),
        ],
        {"recipes": {"camvid": {"preset": "shipped", "training": {"batch_size": 8}}}},
    ),
    "guidance": _at_64(
        [
            Training(method, seed, variant, recipe)
            for method, variant, recipe in (
                ("base_net", "", {}),
                ("sg_net", "", {}),
                ("sg_net", "40 % given true labels", _GIVEN),
                ("sg_net", "all given true labels", {"guidance": {"given": 1.0}}),
            )
            for seed in (1, 2)
        ]
    ),
    "threshold": _at_64(
        [
            Training("sge_net", seed, variant, recipe)
            for variant, recipe in (("", {}), ("fraction of the maximum", _FRACTION))
            for seed in (1, 2)
        ]
    ),
    "same_terms": _at_64(
        [Training(name, recipe=_PLAIN) for name in ("base_net", "sg_net", "sge_net", "gated_conv", "edge_connect")]
    ),
    "guided": _at_64(
        [
            Training(method, seed, recipe=recipe)
            for seed in (1, 2)
            for method, recipe in (("base_net", {}), ("sg_net", _GIVEN), ("sge_net", _GIVEN))
        ],
        _SHORT | {"steps": 1500},
        _segmenter(steps=500),
    ),
}
"""By name: every method for the same time, on labelled photographs and on all; a start from the shipped model; short
ones, which answer one question each (what true labels given in training do, which rule of τ is better, how methods
compare that see the same images, start from grey and have L1 as the only term of the image, without an adversary); and
whether guided methods that are given true labels in training are better than Base-Net after five times the steps."""
