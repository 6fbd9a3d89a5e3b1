"""Run folders with made-up scores, as the stages train and evaluate leave them."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch

from pipelines.evaluation.examples import Example, Failure
from pipelines.evaluation.files import EXEMPLAR, UPPER_BOUND, EvaluationSummary, write_scores
from pipelines.evaluation.images import write_examples, write_failures
from pipelines.evaluation.scoring import SetScores
from pipelines.settings.layout import DatasetPaths, RunPaths
from sgenet.batch import Prediction
from sgenet.evaluation.evaluator import Evaluator
from sgenet.evaluation.segmentation import SegmentationCounts
from sgenet.label_space import OUTDOOR_SCENES

DATASET = "mixed_scenes"
SIZE, COUNT = 32, 6
KEYS = [f"image <{number}>" for number in range(COUNT)]
ERRORS = {"mean_colour": 40, "telea": 30, "base_net": 20, "sge_net": 10}
"""By how much each method is wrong in the hole: SG-Net is missing on purpose."""
ERROR_WITH_TRUE_LABELS = 5
ERROR_WITH_COPIES = 12
VGG_DISTANCES = {40: 0.5, 30: 0.45, 20: 0.42, 10: 0.4, ERROR_WITH_TRUE_LABELS: 0.39, ERROR_WITH_COPIES: 0.3}
"""By how much a method is wrong: what copies texture is nearest."""


def fabricate_runs(
    root: Path,
    num_examples: int = 1,
    dataset: str = DATASET,
    segmenter: str | None = None,
    worse_by: int = 0,
    labelled: bool = True,
    exemplar: bool = False,
) -> None:
    """The runs of two baselines and two methods below a working folder, with the images of the first examples.

    Args:
        segmenter: of the filled images; the originals then are one more baseline.
        worse_by: how much more wrong the methods are, in grey levels, than :data:`ERRORS` says.
        labelled: False leaves every pixel of the labels to be ignored.
        exemplar: whether SGE-Net also has a row of copied texture, which is wrong by more, and nearest in VGG distance.
    """
    built = _built(num_examples, dataset, segmenter, worse_by, labelled, exemplar)
    shutil.copytree(built, root, dirs_exist_ok=True)


@cache
def _built(
    num_examples: int, dataset: str, segmenter: str | None, worse_by: int, labelled: bool, exemplar: bool
) -> Path:
    """A folder with them, made once a process: their intervals take most of a second."""
    root = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, root)
    for name in ("mean_colour", "telea", *(["undamaged"] if segmenter else [])):
        folder = root / DatasetPaths(dataset).baselines / name
        fabricate_evaluation(
            folder,
            name,
            num_examples,
            dataset=dataset,
            segmenter=segmenter,
            labelled=labelled,
            vgg=exemplar and name != "undamaged",
        )
    for name in ("base_net", "sge_net"):
        paths = RunPaths(dataset, name)
        error = ERRORS[name] + worse_by
        fabricate_evaluation(
            root / paths.evaluation,
            name,
            num_examples,
            error,
            dataset=dataset,
            segmenter=segmenter,
            labelled=labelled,
            vgg=exemplar,
        )
        if name == "sge_net":
            bound = root / paths.evaluation / UPPER_BOUND
            fabricate_evaluation(
                bound, name, num_examples, ERROR_WITH_TRUE_LABELS, dataset=dataset, segmenter=segmenter, vgg=exemplar
            )
        if name == "sge_net" and exemplar:
            copied = root / paths.evaluation / EXEMPLAR
            fabricate_evaluation(
                copied, name, num_examples, ERROR_WITH_COPIES, dataset=dataset, segmenter=segmenter, vgg=True
            )
        fabricate_training(root / paths.model)
    return root


def fabricate_evaluation(
    folder: Path,
    method: str,
    num_examples: int = 1,
    error: int | None = None,
    *,
    dataset: str = DATASET,
    segmenter: str | None = None,
    labelled: bool = True,
    vgg: bool = False,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    error = ERRORS.get(method, 0) if error is None else error
    scores = {"centre": _fabricate_scores(method, num_examples, error, segmenter is not None, labelled, vgg)}
    summary = EvaluationSummary(
        dataset,
        method,
        "val",
        "shards",
        "masks",
        "code",
        OUTDOOR_SCENES.names,
        tuple(KEYS[:num_examples]),
        segmenter=segmenter,
        segmenter_sha256=None if segmenter is None else "weights",
    )
    write_scores(folder, scores, (0.01, 0.1, 0.3), summary)
    write_examples(folder, "centre", scores["centre"].examples, OUTDOOR_SCENES)
    write_failures(folder, {"centre": scores["centre"].worst}, OUTDOOR_SCENES)


def _fabricate_scores(
    method: str, num_examples: int, error: int, segmented: bool, labelled: bool, vgg: bool
) -> SetScores:
    rng = np.random.default_rng(1)
    image = torch.from_numpy(rng.integers(60, 180, (COUNT, 3, SIZE, SIZE)).astype(np.uint8))
    label = torch.from_numpy(rng.integers(0, 8, (COUNT, SIZE, SIZE)).astype(np.uint8))
    if not labelled:
        label.fill_(255)
    hole_mask = torch.zeros(COUNT, 1, SIZE, SIZE, dtype=torch.uint8)
    hole_mask[:, :, 8:24, 8:24] = 1
    wrong = torch.arange(COUNT, dtype=torch.uint8).view(-1, 1, 1, 1) + error
    inpainted = torch.where(hole_mask > 0, image + wrong, image)
    predicted = (label.long() + 1) % 8 if method.endswith("net") else None
    if predicted is not None and method == "sge_net":
        predicted[:, :16] = label[:, :16]
    scores = SetScores(Evaluator(8), keys=list(KEYS), num_classes=[2, 2, 4, 4, 6, 6])
    scores.evaluator.update(inpainted, image, hole_mask, label, predicted)
    filled_label = None
    if segmented:
        # Right but for as many columns as the image is wrong by.
        filled_label = label.clone()
        filled_label[:, :, :error] = (label[:, :, :error] + 1) % 8
        scores.filled_segmentation = SegmentationCounts(8, with_none=True)
        scores.filled_segmentation.update(filled_label, label, hole_mask)
    prediction = None
    if predicted is not None:
        scores.confidence = [0.9 - 0.1 * number for number in range(COUNT)]
        prediction = _prediction(with_reliability=method == "sge_net")
    scores.examples = [
        Example(
            KEYS[number],
            image[number],
            hole_mask[number],
            label[number],
            inpainted[number],
            predicted_label=None if predicted is None else predicted[number],
            confidence=None if predicted is None else torch.full((SIZE, SIZE), 0.8),
            prediction=prediction,
            filled_label=None if filled_label is None else filled_label[number],
        )
        for number in range(num_examples)
    ]
    if vgg:
        scores.distances["vgg_distance"] = [VGG_DISTANCES[error] + 0.01 * number for number in range(COUNT)]
    scores.worst = [Failure(score, KEYS[0], scores.examples[0]) for score in (12.34, 15.6)]
    return scores


def _prediction(with_reliability: bool) -> Prediction:
    sizes = [SIZE >> scale for scale in range(5)]
    return Prediction(
        images=tuple(torch.zeros(1, 3, size, size) for size in sizes),
        label_logits=tuple(torch.rand(1, 8, size, size, generator=torch.Generator().manual_seed(0)) for size in sizes),
        reliability=tuple(torch.ones(1, 1, size, size) for size in sizes) if with_reliability else (),
    )


def label_with(model: Path, source: str, segmenter: str | None = None, miou: float = 0.5) -> None:
    """Say in a fabricated training where its labels came from."""
    facts = json.loads((model / "training.json").read_text())
    facts["labels"] = source
    if segmenter is not None:
        scores = {"miou": miou, "pixel_accuracy": 0.8, "calibration_error": None}
        scores |= {"trusted_share": 0.9, "trusted_miou": 0.6, "trusted_pixel_accuracy": 0.85}
        agreement = {"train": {"images": 12, **scores}, "val": {"images": COUNT, **scores, "miou": miou - 0.125}}
        facts["automatic_labels"] = {"segmenter": segmenter, "threshold": 0.5, "agreement": agreement}
    (model / "training.json").write_text(json.dumps(facts))


def fabricate_training(model: Path) -> None:
    model.mkdir(parents=True)
    facts = {"parameters": 1_234_567, "macs": 2_500_000_000, "steps": 2000, "seconds": 600.0}
    (model / "training.json").write_text(json.dumps(facts | {"perceptual_weights": "random"}))
    recipe = {"losses": {"perceptual": 0.1, "perceptual_weights": "random"}, "training": {"steps": 2000}}
    (model / "model.json").write_text(json.dumps({"recipe": recipe}))
    rows = [f"{step},{1 / step},{2 / step if step % 20 == 0 else ''}" for step in range(10, 200, 10)]
    (model / "losses.csv").write_text("\n".join(["step,reconstruction,discriminator", *rows]) + "\n")
    (model / "validation.csv").write_text("step,psnr_hole,ssim_hole\n100,17.5,0.6\n200,18.5,0.65\n")
