"""Methods and segmenters on two data-parallel ranks: the gradients of one process with the whole batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils._pytree import tree_leaves
from two_ranks import WORLD, TwoRanks

from pipelines.training.ranks import all_ranks
from sgenet import precision
from sgenet.batch import InpaintingBatch
from sgenet.methods.build import build_method
from sgenet.methods.edge_connect.settings import EdgeConnectSettings
from sgenet.methods.gated_conv.settings import GatedConvSettings
from sgenet.methods.lama.settings import LamaSettings
from sgenet.methods.method import Method
from sgenet.methods.recipe import Recipe
from sgenet.methods.spg_net.settings import SPGNetSettings
from sgenet.segmenters.build import SEGMENTERS, build_segmenter
from sgenet.segmenters.method import segmenter_method
from sgenet.segmenters.settings import DeepLabSettings, DeepParsingSettings, SegmenterOptimizer, SegmenterRecipe
from sgenet.settings import DiscriminatorSettings, Precision, TrainingSettings
from sgenet.training.state import TrainingState
from sgenet.training.step import training_step

pytestmark = pytest.mark.slow


def _recipe() -> Recipe:
    return Recipe(
        gated_conv=GatedConvSettings(width=4, discriminator_width=4),
        edge_connect=EdgeConnectSettings(
            width=4, num_blocks=1, discriminator_width=4, style=10.0, perceptual_weights="random"
        ),
        spg_net=SPGNetSettings(
            width=4,
            num_blocks=1,
            segmenter_width=4,
            discriminator=DiscriminatorSettings(width=4, num_layers=1, num_scales=2),
            perceptual_weights="random",
            segmentation=1.0,
            reconstruction=1.0,
        ),
        training=TrainingSettings(steps=4, batch_size=WORLD, precision="float32"),
    )


def _method(name: str, recipe: Recipe) -> Method:
    if name not in SEGMENTERS:
        return build_method(name, recipe, 3)
    settings = SegmenterRecipe(
        deep_parsing=DeepParsingSettings(width=4, context_width=8, local_window=5, context_window=3, num_contexts=2),
        deeplab=DeepLabSettings(encoder="resnet18"),
    )
    return segmenter_method(name, build_segmenter(name, settings, 3), (0.5, 1.0, 2.0), SegmenterOptimizer())


def _batch(images: slice) -> InpaintingBatch:
    """Images that differ in the sizes of hole and labelled part, so that means over them differ from rank to rank."""
    rng = torch.Generator().manual_seed(4)
    image = torch.rand(WORLD, 3, 32, 32, generator=rng) * 2 - 1
    hole_mask = torch.zeros(WORLD, 1, 32, 32)
    hole_mask[0, :, 4:12, 4:12] = 1
    hole_mask[1, :, 2:30, 8:30] = 1
    label = torch.randint(3, (WORLD, 32, 32), generator=rng)
    label[0, 20:] = 255
    return InpaintingBatch(image[images], hole_mask[images], label[images])


def _gradients(name: str, images: slice, exchange: Precision = "float32") -> dict[str, Tensor]:
    """Of both networks after the first step."""
    recipe = _recipe()
    recipe = replace(recipe, training=replace(recipe.training, gradient_exchange=exchange))
    method, batch = _method(name, recipe), _batch(images)
    if name in SEGMENTERS:
        # A unit of a deep network may be so close to 0 that rounding decides whether it learns: rounding less, not one.
        method.generator.double()
        batch = replace(batch, image=batch.image.double())
    state = TrainingState(method, recipe)
    state.distribute()
    training_step(state, batch)
    networks = {"generator": state.method.generator, "discriminator": state.method.discriminator}
    found = {}
    for part, network in networks.items():
        for key, parameter in network.named_parameters():
            assert parameter.grad is not None, f"{part}.{key} is not trained"
            found[f"{part}.{key}"] = parameter.grad
    return found


def _rank(rank: int, name: str, folder: Path, exchange: Precision = "float32") -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=WORLD)
    gradients = _gradients(name, slice(rank, rank + 1), exchange)
    if rank == 0:
        torch.save(gradients, folder / "gradients.pt")
    dist.destroy_process_group()


def _spend(rank: int, folder: Path) -> None:
    dist.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=WORLD)
    training = TrainingSettings(budget="wall_clock", seconds=4.0, batch_size=WORLD, precision="float32")
    recipe = replace(_recipe(), training=training)
    state, rates = TrainingState(build_method("gated_conv", recipe, 3), recipe), []
    while not state.finished:
        state.set_learning_rates()
        rates.append(state.generator_optimizer.param_groups[0]["lr"])
        state.step += 1
        # In turn, one rank takes two seconds and the other half a second.
        state.spend(2.0 if state.step % WORLD == rank else 0.5)
    torch.save((state.step, state.seconds, rates), folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_use_up_a_wall_clock_budget_together(two_ranks: TwoRanks, tmp_path: Path) -> None:
    two_ranks.run(_spend, tmp_path)
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in range(WORLD))
    assert one == other
    assert one[:2] == (2, 4.0)


def _agree(rank: int, folder: Path) -> None:
    dist.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=WORLD)
    recipe = replace(_recipe(), training=TrainingSettings(steps=4, batch_size=WORLD, precision="auto"))
    # The device of the second rank alone has bfloat16.
    with mock.patch.object(precision, "has_bfloat16", return_value=rank == 1):
        state = TrainingState(build_method("gated_conv", recipe, 3), recipe)
        before = state.precision
        state.distribute()
    (folder / f"{rank}.txt").write_text(f"{before} → {state.precision}", encoding="utf-8")
    dist.destroy_process_group()


def test_two_ranks_compute_with_the_precision_that_both_have(two_ranks: TwoRanks, tmp_path: Path) -> None:
    two_ranks.run(_agree, tmp_path)
    assert (tmp_path / "0.txt").read_text(encoding="utf-8") == "float32 → float32"
    assert (tmp_path / "1.txt").read_text(encoding="utf-8") == "bfloat16 → float32"


def _share(rank: int, folder: Path) -> None:
    recipe = replace(_recipe(), training=replace(_recipe().training, seed=rank))
    state = TrainingState(build_method("gated_conv", recipe, 3), recipe)
    if rank == 0:
        # As after a resume: this rank alone has read a checkpoint, with what its optimizers remember.
        training_step(state, _batch(slice(0, 1)))
    dist.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=WORLD)
    ranks = all_ranks(rank, WORLD)
    ranks.share_state(state)
    torch.save(state.state_dict(), folder / f"{rank}.pt")
    assert ranks.gathered(rank) == [0, 1]
    assert ranks.any(rank == 1)
    dist.destroy_process_group()


def test_a_state_that_one_rank_has_read_is_that_of_all(two_ranks: TwoRanks, tmp_path: Path) -> None:
    two_ranks.run(_share, tmp_path)
    one, other = (tree_leaves(torch.load(tmp_path / f"{rank}.pt")) for rank in range(WORLD))
    assert len(one) == len(other) > 100
    for first, second in zip(one, other, strict=True):
        if isinstance(first, Tensor):
            assert torch.equal(first, second)
            assert first.stride() == second.stride()
        else:
            assert first == second


@pytest.mark.parametrize("name", ["gated_conv", "edge_connect", "spg_net", *SEGMENTERS])
def test_two_ranks_have_the_gradients_of_one(two_ranks: TwoRanks, name: str, tmp_path: Path) -> None:
    two_ranks.run(_rank, name, tmp_path)
    together = torch.load(tmp_path / "gradients.pt", weights_only=True)
    for key, expected in _gradients(name, slice(None)).items():
        scale = float(expected.abs().max())
        assert torch.allclose(together[key], expected, rtol=1e-3, atol=1e-3 * scale + 1e-7), key


def _statistics(rank: int, folder: Path) -> None:
    dist.init_process_group("gloo", f"file://{folder / 'meeting'}", rank=rank, world_size=WORLD)
    recipe = replace(_recipe(), lama=LamaSettings(width=4, num_blocks=1, discriminator_width=4, perceptual=0.0))
    state = TrainingState(build_method("lama", recipe, 3), recipe)
    state.distribute()
    with mock.patch.object(state, "share_batch_statistics"):
        training_step(state, _batch(slice(rank, rank + 1)))
    of_this_rank = dict(state.method.generator.named_buffers())
    torch.save({key: value.clone() for key, value in of_this_rank.items()}, folder / f"alone{rank}.pt")
    state.share_batch_statistics()
    torch.save(of_this_rank, folder / f"shared{rank}.pt")
    training_step(state, _batch(slice(rank, rank + 1)))
    torch.save(of_this_rank, folder / f"stepped{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_share_the_mean_of_their_batch_statistics(two_ranks: TwoRanks, tmp_path: Path) -> None:
    two_ranks.run(_statistics, tmp_path)
    alone, shared, stepped = (
        [torch.load(tmp_path / f"{name}{rank}.pt", weights_only=True) for rank in range(WORLD)]
        for name in ("alone", "shared", "stepped")
    )
    statistics = [key for key in alone[0] if key.endswith(("running_mean", "running_var"))]
    assert len(statistics) > 10
    assert any(not torch.equal(alone[0][key], alone[1][key]) for key in statistics)
    for key in statistics:
        torch.testing.assert_close(shared[0][key], (alone[0][key] + alone[1][key]) / 2)
        assert torch.equal(shared[0][key], shared[1][key])
        assert torch.equal(stepped[0][key], stepped[1][key])


def test_gradients_that_travel_in_bfloat16_differ_by_its_rounding_alone(two_ranks: TwoRanks, tmp_path: Path) -> None:
    two_ranks.run(_rank, "gated_conv", tmp_path, "bfloat16")
    together = torch.load(tmp_path / "gradients.pt", weights_only=True)
    differs = False
    for key, expected in _gradients("gated_conv", slice(None)).items():
        assert torch.equal(together[key], together[key].bfloat16().float()), key
        assert torch.allclose(together[key], expected, rtol=0.02, atol=0.02 * float(expected.abs().max()) + 1e-7), key
        differs |= not torch.equal(together[key], expected)
    assert differs
