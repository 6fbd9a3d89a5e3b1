"""LPIPS against torchmetrics' network with the same weights of AlexNet, which here are random."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor
from torchmetrics.functional.image.lpips import _LPIPS

from sgenet.errors import CheckpointError
from sgenet.evaluation import lpips
from sgenet.evaluation.lpips import LPIPS, load_lpips, picture_distances

SETTING = "evaluation.lpips_weights"


@pytest.fixture(scope="module")
def theirs() -> _LPIPS:
    """With the calibration that comes with torchmetrics, and AlexNet without training."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return _LPIPS(net="alex", pnet_rand=True)


@pytest.fixture
def weights(theirs: _LPIPS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file laid out as torchvision's, and taken for it."""
    state = torchvision.models.alexnet(weights=None).state_dict()
    slices = [getattr(theirs.net, f"slice{number}") for number in range(1, 6)]
    for part in slices:
        state |= {f"features.{name}": value for name, value in part.state_dict().items()}
    torch.save(state, tmp_path / "alexnet.pth")
    digest = hashlib.sha256((tmp_path / "alexnet.pth").read_bytes()).hexdigest()
    monkeypatch.setattr(lpips, "ALEXNET_SHA256", digest)
    return tmp_path / "alexnet.pth"


def _pictures(seed: int, count: int = 3) -> Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (count, 3, 64, 80)).astype(np.uint8))


def test_distances_are_those_of_torchmetrics(theirs: _LPIPS, weights: Path) -> None:
    network = load_lpips(weights, SETTING)
    one, other = _pictures(0), _pictures(1)
    with torch.inference_mode():
        expected = theirs(one / 127.5 - 1, other / 127.5 - 1).flatten()
    assert (expected > 0.01).all()
    assert picture_distances(network, one, other) == pytest.approx(expected.tolist(), rel=1e-5)


def test_a_distance_depends_on_its_two_pictures_alone(weights: Path) -> None:
    network = load_lpips(weights, SETTING)
    one, other = _pictures(0), _pictures(1)
    together = picture_distances(network, one, other)
    assert together[2:] == picture_distances(network, one[2:], other[2:])
    assert picture_distances(network, one, one) == [0.0] * 3
    assert len(set(together)) == 3


def test_no_other_weights_pass_for_alexnets(weights: Path, tmp_path: Path) -> None:
    torch.save(LPIPS().state_dict(), tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="may not be called LPIPS; give that file, or 'none'"):
        load_lpips(tmp_path / "other.pth", SETTING)
