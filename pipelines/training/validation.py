"""A quick look at a generator during training: scores and sample images on the validation split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pipelines.data.evaluation_masks import EvaluationMasks
from pipelines.data.shards.loader import evaluation_batches
from pipelines.data.shards.reader import RawBatch, ShardDataset, Shards
from pipelines.data.shards.schema import SampleTable, spread
from pipelines.training.ranks import ALONE, Ranks
from sgenet.batch import InpaintingBatch, Prediction, composite, to_uint8
from sgenet.evaluation.evaluator import Evaluator
from sgenet.figures import corrupted_image, grid, to_image
from sgenet.label_space import LabelSpace
from sgenet.precision import autocast
from sgenet.settings import Precision
from sgenet.transforms import CentreCrop

MAX_IMAGES = 512
"""At most so many images, evenly spread over the split: the evaluation stage scores all of them."""

BATCH_SIZE = 8
"""Images that are filled at a time."""

_TITLES = ("masked", "inpainted", "segmentation", "truth")

Pixels = npt.NDArray[np.uint8]
SampleRows = dict[str, list["Pixels | None"]]
"""A row of the sheet, by the sample's key."""


@dataclass(frozen=True)
class Validation:
    """What a validation found.

    Attributes:
        scores: means over the images, named as :meth:`sgenet.evaluation.evaluator.Evaluator.summary` does.
        sheet: (H, W, 3), a row a sample image: masked, inpainted, segmentation, truth;
            None when no sample image was asked for.
    """

    scores: dict[str, float]
    sheet: Pixels | None


class Validates(Protocol):
    """What takes a look at a network during training."""

    def validate(self, generator: nn.Module, device: torch.device, precision: Precision = "float32") -> Validation:
        """Score a network that is in evaluation mode and computes in this precision. No random stream is touched.

        Each rank scores its part, and all of them find the same. Every rank must call it, or none.
        """


class Validator:
    """Scores generators on the images of a split under the first set of fixed masks.

    Args:
        table: the samples of the split whose images are used.
        masks: their fixed masks.
        crop: side of the middle square.
        label_space: of the labels.
        num_samples: how many images the sheet shows, evenly spread over the split.
        shards: reads the samples; None where the shards lie in the table's folder.
        ranks: share the images.
    """

    def __init__(
        self,
        table: SampleTable,
        masks: EvaluationMasks,
        crop: int,
        label_space: LabelSpace,
        num_samples: int,
        shards: Shards | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        table = spread(table, MAX_IMAGES)
        self._dataset = ShardDataset(ranks.part(table, BATCH_SIZE), CentreCrop(crop), shards=shards)
        self._ranks = ranks
        self._masks = masks
        self._label_space = label_space
        self._shown = [str(key) for key in spread(table, num_samples).keys] if num_samples else []

    def validate(self, generator: nn.Module, device: torch.device, precision: Precision = "float32") -> Validation:
        """Score a generator; see :class:`Validates`.

        Raises:
            DataError: a sample cannot be read or has no mask.
        """
        evaluator = Evaluator(self._label_space.num_classes)
        rows: SampleRows = {}
        with torch.inference_mode():
            for loaded in evaluation_batches(self._dataset, BATCH_SIZE):
                hole_mask = _holes_of(loaded, self._masks)
                image, holes, label = (tensor.to(device) for tensor in (loaded.image, hole_mask, loaded.label))
                batch = InpaintingBatch.from_uint8(image, holes, label)
                with autocast(device, precision):
                    prediction: Prediction = generator(batch.image, batch.hole_mask)
                inpainted = composite(to_uint8(prediction.image), image, holes)
                predicted_label = _label_of(prediction)
                evaluator.update(inpainted, image, holes, label, predicted_label)
                rows |= self._sample_rows(loaded, hole_mask, inpainted, predicted_label)
        together = Evaluator(self._label_space.num_classes)
        for part, _ in (parts := self._ranks.gathered((evaluator, rows))):
            together.extend(part)
        return Validation(together.summary(), sheet([of_rank for _, of_rank in parts], self._shown, _TITLES))

    def _sample_rows(
        self, loaded: RawBatch, hole_mask: Tensor, inpainted: Tensor, predicted_label: Tensor | None
    ) -> SampleRows:
        rows: SampleRows = {}
        for index, key in enumerate(loaded.keys):
            if key not in self._shown:
                continue
            truth = to_image(loaded.image[index])
            masked = corrupted_image(truth, hole_mask[index, 0].numpy())
            segmentation = None
            if predicted_label is not None:
                segmentation = self._label_space.colourise(predicted_label[index].cpu().numpy())
            rows[key] = [masked, to_image(inpainted[index].cpu()), segmentation, truth]
        return rows


def sheet(rows: Sequence[SampleRows], keys: Sequence[str], titles: Sequence[str]) -> Pixels | None:
    """The sample images of all ranks in the order of their keys; None where there are none."""
    together = {key: row for of_rank in rows for key, row in of_rank.items()}
    return grid([together[key] for key in keys], titles) if together else None


def _holes_of(loaded: RawBatch, masks: EvaluationMasks) -> Tensor:
    first_set = masks.sets[0]
    return torch.from_numpy(np.stack([masks.mask(first_set, key) for key in loaded.keys]))[:, None]


def _label_of(prediction: Prediction) -> Tensor | None:
    return prediction.label_logits[0].argmax(dim=1) if prediction.label_logits else None
