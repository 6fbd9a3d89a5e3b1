"""A quick look at a generator during training: scores and sample pictures on the validation split."""

from __future__ import annotations

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
from sgenet.batch import InpaintingBatch, Prediction, composite, to_uint8
from sgenet.evaluation.evaluator import Evaluator
from sgenet.figures import corrupted_picture, grid, to_picture
from sgenet.label_space import LabelSpace
from sgenet.transforms import CentreCrop

MAX_PICTURES = 512
"""At most so many pictures, evenly spread over the split: the evaluation stage scores all of them."""

_BATCH_SIZE = 8
_TITLES = ("masked", "inpainted", "segmentation", "truth")

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Validation:
    """What a validation found.

    Attributes:
        scores: means over the pictures, named as :meth:`sgenet.evaluation.evaluator.Evaluator.summary` does.
        sheet: (H, W, 3), a row a sample picture: masked, inpainted, segmentation, truth;
            None when no sample picture was asked for.
    """

    scores: dict[str, float]
    sheet: Picture | None


class Validates(Protocol):
    """What takes a look at a network during training."""

    def validate(self, generator: nn.Module, device: torch.device) -> Validation:
        """Score a network that is in evaluation mode, in float32. No random stream is touched."""


class Validator:
    """Scores generators on the pictures of a split under the first set of fixed masks.

    Args:
        table: the samples of the split whose pictures are used.
        masks: their fixed masks.
        crop: side of the middle square.
        label_space: of the labels.
        num_samples: how many pictures the sheet shows, evenly spread over the split.
        shards: reads the samples; None where the shards lie in the table's folder.
    """

    def __init__(
        self,
        table: SampleTable,
        masks: EvaluationMasks,
        crop: int,
        label_space: LabelSpace,
        num_samples: int,
        shards: Shards | None = None,
    ) -> None:
        table = spread(table, MAX_PICTURES)
        self._dataset = ShardDataset(table, CentreCrop(crop), shards=shards)
        self._masks = masks
        self._label_space = label_space
        self._shown = {str(key) for key in spread(table, num_samples).keys} if num_samples else set()

    def validate(self, generator: nn.Module, device: torch.device) -> Validation:
        """Score a generator that is in evaluation mode, in float32. No random stream is touched.

        Raises:
            DataError: a sample cannot be read or has no mask.
        """
        evaluator = Evaluator(self._label_space.num_classes)
        rows: list[list[Picture | None]] = []
        with torch.inference_mode():
            for loaded in evaluation_batches(self._dataset, _BATCH_SIZE):
                hole_mask = _holes_of(loaded, self._masks)
                batch = InpaintingBatch.from_uint8(
                    loaded.image.to(device), hole_mask.to(device), loaded.label.to(device), loaded.keys
                )
                prediction: Prediction = generator(batch.image, batch.hole_mask)
                inpainted = composite(to_uint8(prediction.image).cpu(), loaded.image, hole_mask)
                predicted_label = _label_of(prediction)
                evaluator.update(inpainted, loaded.image, hole_mask, loaded.label, predicted_label)
                rows += self._sample_rows(loaded, hole_mask, inpainted, predicted_label)
        return Validation(evaluator.summary(), grid(rows, _TITLES) if rows else None)

    def _sample_rows(
        self, loaded: RawBatch, hole_mask: Tensor, inpainted: Tensor, predicted_label: Tensor | None
    ) -> list[list[Picture | None]]:
        rows: list[list[Picture | None]] = []
        for index, key in enumerate(loaded.keys):
            if key not in self._shown:
                continue
            truth = to_picture(loaded.image[index])
            masked = corrupted_picture(truth, hole_mask[index, 0].numpy())
            segmentation = None
            if predicted_label is not None:
                segmentation = self._label_space.colourise(predicted_label[index].numpy())
            rows.append([masked, to_picture(inpainted[index]), segmentation, truth])
        return rows


def _holes_of(loaded: RawBatch, masks: EvaluationMasks) -> Tensor:
    first_set = masks.sets[0]
    return torch.from_numpy(np.stack([masks.mask(first_set, key) for key in loaded.keys]))[:, None]


def _label_of(prediction: Prediction) -> Tensor | None:
    return prediction.label_logits[0].argmax(dim=1).cpu() if prediction.label_logits else None
