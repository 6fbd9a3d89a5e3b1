"""A quick look at a network during training: scores and sample images on held-out images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipelines.data.evaluation_masks import EvaluationMasks
from pipelines.data.shards.loader import evaluation_batches
from pipelines.data.shards.reader import ShardDataset, Shards
from pipelines.data.shards.schema import SampleTable, spread
from pipelines.training.ranks import ALONE, Ranks
from sgenet.batch import InpaintingBatch, Prediction, Uint8Batch, composite, to_uint8
from sgenet.evaluation.evaluator import Evaluator
from sgenet.evaluation.segmenter_scores import SegmenterScores
from sgenet.figures import corrupted_image, grid, to_image
from sgenet.label_space import LabelSpace
from sgenet.precision import autocast
from sgenet.settings import Precision
from sgenet.transforms import CentreCrop

MAX_IMAGES = 512
"""At most so many images, evenly spread over the split: the evaluation stage scores all of them."""

BATCH_SIZE = 8
"""Images that are filled at a time."""

Pixels = npt.NDArray[np.uint8]
Row = list[Pixels | None]
"""Of the sheet."""


@dataclass(frozen=True)
class Validation:
    """Means over the images, by name; and a sheet (H, W, 3) with a row a sample image, where one was asked for."""

    scores: dict[str, float]
    sheet: Pixels | None


class Validator(ABC):
    """Scores networks on the middle squares of held-out images.

    Args:
        crop: side of the middle square.
        num_samples: how many images the sheet shows, evenly spread over them.
        shards: reads the samples; None where the shards lie in the table's folder.
        ranks: share the images.
    """

    titles: ClassVar[tuple[str, ...]]
    """Of the sheet's columns."""

    def __init__(
        self,
        table: SampleTable,
        crop: int,
        label_space: LabelSpace,
        num_samples: int,
        shards: Shards | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        table = spread(table, MAX_IMAGES)
        self._dataset = ShardDataset(ranks.part(table, BATCH_SIZE), CentreCrop(crop), shards=shards)
        self._ranks = ranks
        self._label_space = label_space
        self._shown = [str(key) for key in spread(table, num_samples).keys] if num_samples else []

    def validate(self, generator: nn.Module, device: torch.device, precision: Precision = "float32") -> Validation:
        """Score a network that is in evaluation mode and computes in this precision. No random stream is touched.

        Each rank scores its part, and all of them find the same. Every rank must call it, or none.

        Raises:
            DataError: a sample cannot be read or has no mask.
        """
        scores = self._no_scores()
        rows: dict[str, Row] = {}
        with torch.inference_mode():
            for loaded in evaluation_batches(self._dataset, BATCH_SIZE):
                batch = Uint8Batch(
                    loaded.image.to(device), self._holes(loaded).to(device), loaded.label.to(device), loaded.keys
                )
                images = InpaintingBatch.from_uint8(batch.image, batch.hole_mask, batch.label)
                with autocast(device, precision):
                    prediction: Prediction = generator(images.image, images.hole_mask)
                row_of = self._score(scores, batch, prediction)
                rows |= {key: row_of(index) for index, key in enumerate(batch.keys) if key in self._shown}
        together = self._no_scores()
        for part, of_rank in self._ranks.gathered((scores, rows)):
            together.extend(part)
            rows |= of_rank
        sheet = grid([rows[key] for key in self._shown], self.titles) if rows else None
        return Validation(self._summary(together), sheet)

    @abstractmethod
    def _no_scores(self) -> Any:
        """What gathers the scores, empty."""

    def _holes(self, loaded: Uint8Batch) -> Tensor:
        return loaded.hole_mask

    @abstractmethod
    def _score(self, scores: Any, batch: Uint8Batch, prediction: Prediction) -> Callable[[int], Row]:
        """Add a batch to the scores; what comes back draws the sheet's row of one of its images."""

    def _summary(self, scores: Any) -> dict[str, float]:
        summary: dict[str, float] = scores.summary()
        return summary

    def _coloured(self, label: Tensor) -> Pixels:
        return self._label_space.colourise(label.cpu().numpy())


class InpaintingValidator(Validator):
    """Scores generators under the first set of fixed masks."""

    titles = ("masked", "inpainted", "segmentation", "truth")

    def __init__(self, masks: EvaluationMasks, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._masks = masks

    def _no_scores(self) -> Evaluator:
        return Evaluator(self._label_space.num_classes)

    def _holes(self, loaded: Uint8Batch) -> Tensor:
        first_set = self._masks.sets[0]
        return torch.from_numpy(np.stack([self._masks.mask(first_set, key) for key in loaded.keys]))[:, None]

    def _score(self, scores: Evaluator, batch: Uint8Batch, prediction: Prediction) -> Callable[[int], Row]:
        inpainted = composite(to_uint8(prediction.image), batch.image, batch.hole_mask)
        predicted = prediction.label_logits[0].argmax(dim=1) if prediction.label_logits else None
        scores.update(inpainted, batch.image, batch.hole_mask, batch.label, predicted)

        def row(index: int) -> Row:
            truth = to_image(batch.image[index].cpu())
            masked = corrupted_image(truth, batch.hole_mask[index, 0].cpu().numpy())
            segmentation = None if predicted is None else self._coloured(predicted[index])
            return [masked, to_image(inpainted[index].cpu()), segmentation, truth]

        return row


class SegmenterValidator(Validator):
    """Scores segmenters, called as generators, on labelled images: mIoU, pixel accuracy and calibration error."""

    titles = ("image", "label", "predicted")

    def _no_scores(self) -> SegmenterScores:
        return SegmenterScores(self._label_space.num_classes)

    def _score(self, scores: SegmenterScores, batch: Uint8Batch, prediction: Prediction) -> Callable[[int], Row]:
        probabilities = prediction.label_logits[0].float().softmax(dim=1)
        scores.update(probabilities, batch.label)
        predicted = probabilities.argmax(dim=1)
        return lambda index: [
            to_image(batch.image[index].cpu()),
            self._coloured(batch.label[index]),
            self._coloured(predicted[index]),
        ]

    def _summary(self, scores: SegmenterScores) -> dict[str, float]:
        summary = scores.summary()
        return {name: summary[name] for name in ("miou", "pixel_accuracy", "calibration_error")}
