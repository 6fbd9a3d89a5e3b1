"""A segmenter in the training loop: its loss, its state without a discriminator."""

from __future__ import annotations

import math

import pytest
import torch
from small import SIDE

from sgenet.batch import InpaintingBatch
from sgenet.errors import DataError
from sgenet.methods.recipe import Recipe
from sgenet.segmenters.build import build_segmenter
from sgenet.segmenters.method import balanced_cross_entropy, class_weights, segmenter_method
from sgenet.segmenters.settings import DeepLabSettings, DeepParsingSettings, SegmenterOptimizer, SegmenterRecipe
from sgenet.settings import TrainingSettings
from sgenet.training.state import TrainingState
from sgenet.training.step import training_step

NUM_CLASSES = 3
SMALL = DeepParsingSettings(width=4, context_width=6, local_window=5, context_window=3, num_contexts=2)


def segmenter_state(name: str = "deep_parsing", steps: int = 8, seed: int = 1, rate: float = 3e-4) -> TrainingState:
    training = TrainingSettings(steps=steps, batch_size=2, precision="float32", seed=seed)
    recipe = SegmenterRecipe(deep_parsing=SMALL, deeplab=DeepLabSettings(encoder="resnet18"), training=training)
    network = build_segmenter(name, recipe, NUM_CLASSES)
    method = segmenter_method(name, network, (1.0, 1.0, 1.0), SegmenterOptimizer(generator_lr=rate, warmup_steps=0))
    return TrainingState(method, Recipe(training=training))


def test_the_loss_by_hand() -> None:
    logits = torch.tensor([[0.0, 0.0], [math.log(3.0), 0.0], [5.0, -5.0]]).T.reshape(1, 2, 1, 3)
    label = torch.tensor([[[0, 1, 255]]])
    found = balanced_cross_entropy(logits, label, torch.tensor([1.0, 3.0]))
    assert float(found) == pytest.approx((math.log(2.0) + 3 * math.log(4.0)) / 4)


def test_class_weights_by_hand() -> None:
    assert class_weights([10, 0, 90], balance=0) == pytest.approx((1.0, 0.0, 1.0))
    assert class_weights([10, 0, 90], balance=1) == pytest.approx((5.0, 0.0, 5 / 9))
    half = class_weights([10, 0, 90], balance=0.5)
    assert half[0] / half[2] == pytest.approx(3.0)
    assert 0.1 * half[0] + 0.9 * half[2] == pytest.approx(1.0)


def test_nothing_labelled_is_refused() -> None:
    with pytest.raises(DataError, match="no training image is labelled"):
        class_weights([0, 0], 0.5)


@pytest.mark.slow
def test_a_segmenter_learns_in_the_training_loop() -> None:
    """Halves of two colours: whoever learns, learns them by heart."""
    label = torch.zeros(2, SIDE, SIDE, dtype=torch.int64)
    label[0, :, SIDE // 2 :], label[1, : SIDE // 2] = 1, 1
    image = torch.where(label[:, None] == 1, 0.8, -0.8).expand(-1, 3, -1, -1).contiguous()
    batch = InpaintingBatch(image, torch.zeros(2, 1, SIDE, SIDE), label)
    state = segmenter_state(steps=60, rate=1e-2)
    before = float(training_step(state, batch)["segmentation"])
    for _ in range(50):
        after = float(training_step(state, batch)["segmentation"])
    assert after < 0.5 * before
