"""A quick look at a segmenter while it is fitted: scores and sample images on held-out images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pipelines.data.shards.loader import evaluation_batches
from pipelines.data.shards.reader import ShardDataset, Shards
from pipelines.data.shards.schema import SampleTable, spread
from pipelines.training.ranks import ALONE, Ranks
from pipelines.training.validation import BATCH_SIZE, MAX_IMAGES, Pixels, SampleRows, Validation, sheet
from sgenet.batch import InpaintingBatch, Prediction
from sgenet.evaluation.segmenter_scores import SegmenterScores
from sgenet.figures import to_image
from sgenet.label_space import LabelSpace
from sgenet.precision import autocast
from sgenet.settings import Precision
from sgenet.transforms import CentreCrop

TITLES = ("image", "label", "predicted")


class SegmenterValidator:
    """Scores segmenters on the middle squares of labelled images.

    Args:
        table: the samples that are used; all have labels.
        crop: side of the middle square.
        label_space: of the labels.
        num_samples: how many images the sheet shows.
        shards: reads the samples; None where the shards lie in the table's folder.
        ranks: share the images.
    """

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
        """Score a network that is called as a generator: ``miou``, ``pixel_accuracy``, ``calibration_error``.

        Raises:
            DataError: a sample cannot be read.
        """
        found = SegmenterScores(self._label_space.num_classes)
        rows: SampleRows = {}
        with torch.inference_mode():
            for loaded in evaluation_batches(self._dataset, BATCH_SIZE):
                batch = InpaintingBatch.from_uint8(
                    loaded.image.to(device), loaded.hole_mask.to(device), loaded.label.to(device)
                )
                with autocast(device, precision):
                    prediction: Prediction = generator(batch.image, batch.hole_mask)
                probabilities = prediction.label_logits[0].float().softmax(dim=1)
                found.update(probabilities, batch.label)
                predicted = probabilities.argmax(dim=1)
                for index, key in enumerate(loaded.keys):
                    if key in self._shown:
                        rows[key] = self._row(loaded.image[index], loaded.label[index], predicted[index])
        together = SegmenterScores(self._label_space.num_classes)
        for part, _ in (parts := self._ranks.gathered((found, rows))):
            together.extend(part)
        summary = together.summary()
        scores = {name: summary[name] for name in ("miou", "pixel_accuracy", "calibration_error")}
        return Validation(scores, sheet([of_rank for _, of_rank in parts], self._shown, TITLES))

    def _row(self, image: Tensor, label: Tensor, predicted: Tensor) -> list[Pixels | None]:
        colourise = self._label_space.colourise
        return [to_image(image), colourise(label.numpy()), colourise(predicted.cpu().numpy())]
