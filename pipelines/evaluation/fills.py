"""What fills the holes of an evaluation: a trained method, or a baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipelines.evaluation.baselines import BASELINES, UNDAMAGED, BaselineFunction, mean_colour, undamaged
from pipelines.parallel.device import check_device
from sgenet.batch import Prediction, composite, to_uint8
from sgenet.evaluation.confidence import label_confidence
from sgenet.inpainter.exemplar import copy_texture
from sgenet.inpainter.network import coarse_features
from sgenet.inpainter.pyramid import Floats, Ids
from sgenet.methods.registry import LABEL_STARTED_METHODS
from sgenet.methods.release import Released, load_released
from sgenet.precision import autocast
from sgenet.settings import Precision
from sgenet.training.determinism import make_deterministic


@dataclass(frozen=True)
class FilledBatch:
    """A filled batch, on the device that filled it; what a method does not predict is None.

    Attributes:
        image: (B, 3, H, W) uint8, the inpainted images: known pixels are the original's.
        label: (B, H, W) int64 predicted class ids.
        confidence: (B, H, W) float in 0–1, probability of the predicted class.
        prediction: the generator's output at every scale.
        segmented: (B, H, W) uint8 class ids that a segmenter finds in ``image``; no method gives them.
    """

    image: Tensor
    label: Tensor | None = None
    confidence: Tensor | None = None
    prediction: Prediction | None = None
    segmented: Tensor | None = None


Fill = Callable[[Tensor, Tensor, Tensor], FilledBatch]
"""From image (B, 3, H, W), hole mask (B, 1, H, W), 1 = missing, and true label (B, H, W), all uint8, to
:class:`FilledBatch`. Only what is guided by the true labels looks at the label."""

Segment = Callable[[Tensor], Tensor]
"""A segmenter: from images without holes, (B, 3, H, W) uint8, to class ids (B, H, W) uint8; 255 = no class of this
label space."""

MakeFill = Callable[[Segment | None], Fill]
"""Makes the fill in the process that scores, given the segmenter or None."""


@dataclass(frozen=True, kw_only=True)
class ModelFill:
    """How a released model fills, as a :data:`MakeFill` that goes to other processes.

    Attributes:
        model: its folder.
        weights_sha256: of its weights file, so that one does not pass for another.
        device: of the process that scores.
        guided_by_truth, copies_texture, precision: as of :func:`model_fill`.
    """

    model: Path
    weights_sha256: str
    device: str
    guided_by_truth: bool = False
    copies_texture: bool = False
    precision: Precision = "float32"

    def __call__(self, segment: Segment | None) -> Fill:
        """The fill of the model, which is kept for the next block.

        Raises:
            CheckpointError: the folder holds no released model.
            SettingsError: a GPU is asked for and this process has none.
        """
        check_device(self.device)
        device = torch.device(self.device)
        make_deterministic(device)
        return model_fill(
            _released(self.model, self.weights_sha256),
            device,
            guided_by_truth=self.guided_by_truth,
            copies_texture=self.copies_texture,
            segment=segment,
            precision=self.precision,
        )


@lru_cache(maxsize=1)
def _released(model: Path, weights_sha256: str) -> Released:
    return load_released(model)


def model_fill(
    released: Released,
    device: torch.device,
    *,
    guided_by_truth: bool = False,
    copies_texture: bool = False,
    segment: Segment | None = None,
    precision: Precision = "float32",
) -> Fill:
    """Fill holes with a trained generator.

    Args:
        guided_by_truth: guide SG-Net or SGE-Net by the true labels in place of their own: the upper bound of
            Fig. 1(e) after training with true labels, otherwise how well they follow a segmentation.
        copies_texture: take the texture from the known pixels of the image. What else the network predicted, such as
            its segmentation, is left to the scores of the filling without.
        segment: labels the known pixels for SPG-Net; None: its own small segmenter does.
        precision: of the generator, whatever it was trained in.
    """
    starts_from_labels = segment is not None and released.method_name in LABEL_STARTED_METHODS
    generator = released.generator.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def fill(image: Tensor, hole_mask: Tensor, label: Tensor) -> FilledBatch:
        original, holes = image.to(device), hole_mask.to(device)
        normalised = original.to(torch.float32).div_(127.5).sub_(1.0)
        normalised = normalised.contiguous(memory_format=torch.channels_last)
        guide: tuple[Tensor, ...] = (label.to(device, torch.int64),) if guided_by_truth else ()
        if starts_from_labels and segment is not None:
            guide = (segment(without_holes(image, hole_mask)).to(device, torch.int64),)
        with autocast(device, precision):
            prediction: Prediction = generator(normalised, holes.to(torch.float32), *guide)
        if copies_texture:
            refined = with_texture(normalised, holes, prediction).to(device)
            return FilledBatch(composite(refined, original, holes))
        inpainted = composite(to_uint8(prediction.image), original, holes)
        if not prediction.label_logits:
            return FilledBatch(inpainted, prediction=prediction)
        return FilledBatch(inpainted, *label_confidence(prediction.label_logits[0]), prediction)

    return fill


def without_holes(image: Tensor, hole_mask: Tensor) -> Tensor:
    """Images whose holes have the mean colour of what is known, so that a segmenter can look at them.

    Args:
        image: (B, 3, H, W) uint8; what lies in the hole is not seen.
        hole_mask: (B, 1, H, W), 1 = missing.
    """
    return _by_image(mean_colour, image, hole_mask)


def baseline_fill(name: str, segment: Segment | None = None) -> Fill:
    """A method without learning, which has no use for a segmenter.

    Args:
        name: a key of :data:`~pipelines.evaluation.baselines.BASELINES`, or :data:`UNDAMAGED`.
    """
    function = undamaged if name == UNDAMAGED else BASELINES[name]

    def fill(image: Tensor, hole_mask: Tensor, label: Tensor) -> FilledBatch:
        return FilledBatch(_by_image(function, image, hole_mask))

    return fill


def _by_image(function: BaselineFunction, images: Tensor, hole_mask: Tensor) -> Tensor:
    """A function of one image on each of (B, 3, H, W) uint8."""
    arrays = [np.ascontiguousarray(image.permute(1, 2, 0).numpy()) for image in images]
    filled = [function(image, hole[0].numpy()) for image, hole in zip(arrays, hole_mask, strict=True)]
    return torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image in filled])


def with_texture(image: Tensor, hole_mask: Tensor, prediction: Prediction) -> Tensor:
    """What was drawn, refined by :func:`~sgenet.inpainter.exemplar.copy_texture`, one image at a time.

    Args:
        image: (B, 3, H, W) in [-1, 1].
        hole_mask: (B, 1, H, W), 1 = missing.
        prediction: what the network drew, and the classes and features that guide the copies where it has some.

    Returns:
        (B, 3, H, W) uint8 on the CPU; only the hole is meant.
    """
    images, drawings = (tensor.float().permute(0, 2, 3, 1).cpu().numpy() for tensor in (image, prediction.image))
    holes = (hole_mask[:, 0] > 0).cpu().numpy()
    classes: Iterable[tuple[Ids | None, Floats | None]] = [(None, None)] * len(images)
    if prediction.label_logits:
        label, confidence = label_confidence(prediction.label_logits[0])
        classes = zip(label.to(torch.uint8).cpu().numpy(), confidence.cpu().numpy(), strict=True)
    features = [coarse_features(prediction, index=index) for index in range(len(images))]
    refined = [
        copy_texture(known, hole, hole, drawing, *guidance, features=found)
        for known, hole, drawing, guidance, found in zip(images, holes, drawings, classes, features, strict=True)
    ]
    return to_uint8(torch.stack([torch.from_numpy(pixels).permute(2, 0, 1) for pixels in refined]))
