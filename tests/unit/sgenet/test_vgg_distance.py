"""VGG distance: its definition, by hand, and one file of weights alone."""

from __future__ import annotations

import pytest
import torch

from sgenet.errors import CheckpointError
from sgenet.evaluation.vgg_distance import LAYERS, load_vgg, vgg_distances
from sgenet.losses.vgg import VGG


def test_it_is_the_mean_of_relative_differences_of_three_layers_and_no_result_depends_on_the_batch():
    network = VGG(16, "relu4_3", "random", "test")
    original = torch.randint(0, 256, (2, 3, 16, 24), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    other = original.flip(0)
    both = vgg_distances(network, other, original)
    assert both[1] == vgg_distances(network, other[1:], original[1:])[0]
    assert vgg_distances(network, original, original) == [0, 0]
    x, y = (network.activations(image[:1].float() / 127.5 - 1, LAYERS) for image in (original, other))
    by_hand = sum(float((a - b).abs().sum() / a.abs().sum()) for a, b in zip(x, y, strict=True)) / 3
    assert both[0] == pytest.approx(by_hand, rel=1e-5)


def test_other_weights_are_refused(tmp_path):
    (tmp_path / "vgg.pth").write_bytes(b"other")
    with pytest.raises(CheckpointError, match=r"vgg_weights: .* is not vgg16_photographs\.pth"):
        load_vgg(tmp_path / "vgg.pth", "vgg_weights")
