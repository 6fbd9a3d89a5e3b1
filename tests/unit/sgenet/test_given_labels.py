"""Training with given labels: who is guided, where, and that a network learns to obey."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from small import SIDE, small_recipe
from torch import Tensor

from sgenet.batch import InpaintingBatch
from sgenet.label_space import IGNORE_ID
from sgenet.losses.segmentation import multi_scale_segmentation
from sgenet.methods.build import build_method
from sgenet.methods.sge_net.given_labels import give_labels
from sgenet.settings import GuidanceSettings
from sgenet.training.state import TrainingState
from sgenet.training.step import training_step

RECIPE = small_recipe(
    network={"modulation_width": 8, "reliability_width": 2, "bias_width_ratio": 0.5, "start": "membrane"},
    losses={"adversarial": 0, "hole_weight": 4},
    optimizer={"generator_lr": 1e-2},
    steps=10**6,
)


def batch_of(num_samples: int, seed: int = 0) -> InpaintingBatch:
    """Images of one known grey whose hole is dark or bright by its class, which nothing else tells."""
    generator = torch.Generator().manual_seed(seed)
    hole = torch.zeros(num_samples, 1, SIDE, SIDE)
    hole[..., 8:24, 8:24] = 1
    classes = torch.randint(0, 2, (num_samples, 1, 1), generator=generator).expand(-1, SIDE, SIDE)
    label = torch.where(hole[:, 0] > 0, classes, 2)
    grey = torch.tensor([-0.6, 0.6, 0.0])[label]
    return InpaintingBatch(image=grey[:, None].repeat(1, 3, 1, 1), hole_mask=hole, label=label)


def draws_of(kinds: list[float]) -> Tensor:
    return torch.tensor([[kind, 0.5, 0.5] for kind in kinds])


def test_a_share_is_guided_half_of_it_in_the_hole_alone() -> None:
    batch = batch_of(4)
    given = give_labels(batch, draws_of([0.1, 0.3, 0.5, 0.9]), GuidanceSettings(given=0.4))
    assert given.guide is not None
    hole = batch.hole_mask[:, 0] > 0
    assert torch.equal(given.guide[0], batch.label[0])
    assert torch.equal(given.guide[1], torch.where(hole[1], batch.label[1], IGNORE_ID))
    assert (given.guide[2:] == IGNORE_ID).all()
    assert given.image is batch.image
    assert given.label is batch.label
    always = give_labels(batch, draws_of([0.1, 0.3, 0.6, 0.99]), GuidanceSettings(given=1))
    assert always.guide is not None
    assert torch.equal(always.guide, batch.label)


def test_a_transplanted_hole_shows_and_announces_another_part_of_the_image() -> None:
    batch = batch_of(2)
    given = give_labels(batch, draws_of([0.0, 0.6]), GuidanceSettings(given=0.2, transplanted=0.5))
    assert given.guide is not None
    hole = batch.hole_mask[0, 0] > 0
    # Half of the image further, all of it is the grey around the hole.
    assert (given.image[0, :, hole] == 0).all()
    assert (given.guide[0][hole] == 2).all()
    assert (given.guide[0][~hole] == IGNORE_ID).all()
    assert (given.label[0][hole] == IGNORE_ID).all()
    assert torch.equal(given.image[0, :, ~hole], batch.image[0, :, ~hole])
    assert torch.equal(given.image[1], batch.image[1])
    assert torch.equal(given.label[1], batch.label[1])


def test_a_guided_sample_teaches_its_labels_at_the_coarsest_scale_alone() -> None:
    batch = batch_of(2)
    logits = [torch.zeros(2, 3, SIDE >> scale, SIDE >> scale, requires_grad=True) for scale in range(2)]
    guide = torch.full_like(batch.label, IGNORE_ID)
    guide[1] = batch.label[1]
    multi_scale_segmentation(batch.label, logits, guide=guide).backward()
    fine, coarse = logits
    assert fine.grad is not None
    assert coarse.grad is not None
    assert fine.grad[0].abs().sum() > 0
    assert fine.grad[1].abs().sum() == 0
    assert coarse.grad.abs().sum(dim=(1, 2, 3)).gt(0).all()


@pytest.mark.slow
def test_a_network_that_is_given_labels_in_training_obeys_them() -> None:
    def response(guidance: GuidanceSettings) -> float:
        recipe = replace(RECIPE, guidance=guidance)
        state = TrainingState(build_method("sg_net", recipe, 3), recipe)
        for step in range(40):
            training_step(state, batch_of(8, seed=step))
        batch = batch_of(1)
        with torch.no_grad():
            dark, bright = (
                state.method.generator(batch.image, batch.hole_mask, torch.full_like(batch.label, number)).image
                for number in (0, 1)
            )
        return float((bright - dark)[..., 8:24, 8:24].mean())

    # Their greys are 1.2 apart.
    assert response(GuidanceSettings(given=0.5)) > 0.6
    assert abs(response(GuidanceSettings())) < 0.3


def test_base_net_has_no_use_for_given_labels() -> None:
    method = build_method("base_net", replace(RECIPE, guidance=GuidanceSettings(given=1)), 3)
    assert method.num_draws == 0
