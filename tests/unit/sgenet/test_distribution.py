"""FID and KID against slow direct computations, and the network against torchvision's with TensorFlow's pools."""

from __future__ import annotations

import hashlib
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from scipy.linalg import sqrtm
from torch import Tensor
from torchmetrics.image.kid import poly_mmd

from sgenet.errors import CheckpointError
from sgenet.evaluation import distribution, inception
from sgenet.evaluation.distribution import FeatureComparison, Moments, frechet_distance, kernel_distance
from sgenet.evaluation.inception import InceptionV3, load_inception, picture_features, resize_as_tensorflow


def _features(seed: int, num_pictures: int, num_features: int = 24, shift: float = 0.0) -> np.ndarray:
    """Correlated and not centred, as features are."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(num_features, num_features))
    return (np.abs(rng.normal(size=(num_pictures, num_features)) @ mixing) + shift).astype(np.float32)


def _moments(features: np.ndarray, block: int = 7) -> Moments:
    moments = Moments.zero(features.shape[1])
    for first in range(0, len(features), block):
        moments.add(features[first : first + block])
    return moments


def test_streamed_moments_are_those_of_numpy() -> None:
    features = _features(0, 50)
    moments = _moments(features)
    assert moments.mean.numpy() == pytest.approx(features.astype(np.float64).mean(axis=0), rel=1e-12)
    assert moments.covariance.numpy() == pytest.approx(np.cov(features.astype(np.float64), rowvar=False), rel=1e-9)


def test_the_frechet_distance_is_the_one_with_scipys_matrix_root() -> None:
    x, y = _features(0, 200).astype(np.float64), _features(1, 150, shift=0.3).astype(np.float64)
    one, two = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    difference = x.mean(axis=0) - y.mean(axis=0)
    expected = difference @ difference + np.trace(one + two - 2 * sqrtm(one @ two).real)
    found = frechet_distance(_moments(x.astype(np.float32)), _moments(y.astype(np.float32)))
    assert found == pytest.approx(expected, rel=1e-8)


def test_fewer_pictures_than_features_do_no_harm() -> None:
    """The covariances are singular. Tr √(Σ₁Σ₂) is the sum of the singular values of X₁ᵀX₂ of the centred features."""
    x, y = _features(0, 9).astype(np.float64), _features(1, 9, shift=0.3).astype(np.float64)
    a, b = ((z - z.mean(axis=0)) / math.sqrt(8) for z in (x, y))
    difference = x.mean(axis=0) - y.mean(axis=0)
    expected = difference @ difference + (a**2).sum() + (b**2).sum() - 2 * np.linalg.norm(a @ b.T, "nuc")
    found = frechet_distance(_moments(x.astype(np.float32)), _moments(y.astype(np.float32)))
    assert found == pytest.approx(expected, abs=1e-4)


def test_the_same_pictures_are_no_distance_apart_and_one_picture_has_none() -> None:
    moments = _moments(_features(0, 60))
    assert frechet_distance(moments, moments) == pytest.approx(0, abs=1e-6)
    assert math.isnan(frechet_distance(_moments(_features(0, 1)), moments))


def _slow_discrepancy(x: np.ndarray, y: np.ndarray) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((np.dot(a.astype(np.float64), b.astype(np.float64)) / len(a) + 1) ** 3)

    n = len(x)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    within = sum(kernel(x[i], x[j]) + kernel(y[i], y[j]) for i, j in pairs) / len(pairs)
    return within - 2 * sum(kernel(a, b) for a in x for b in y) / n**2


def test_the_kernel_distance_is_the_sum_over_pairs() -> None:
    x, y = _features(0, 12), _features(1, 12, shift=0.2)
    assert kernel_distance(x, y) == pytest.approx(_slow_discrepancy(x, y), rel=1e-9)
    reference = poly_mmd(*(torch.from_numpy(z).double() for z in (x, y)), degree=3, gamma=None, coef=1.0)
    assert kernel_distance(x, y) == pytest.approx(float(reference), rel=1e-9)


def test_many_pictures_are_compared_by_subsets_that_the_seed_draws() -> None:
    x, y = _features(0, 300) / 4, _features(1, 300, shift=2.0) / 4
    by_subsets = kernel_distance(x, y, subset_pictures=100, num_subsets=50)
    assert by_subsets == kernel_distance(x, y, subset_pictures=100, num_subsets=50)
    assert by_subsets != kernel_distance(x, y, subset_pictures=100, num_subsets=50, seed=1)
    assert by_subsets == pytest.approx(kernel_distance(x, y), rel=0.1)


def _compare(x: np.ndarray, y: np.ndarray, block: int, batch: int) -> FeatureComparison:
    """As an evaluation does: each block in batches somewhere else, then joined here."""
    joined: FeatureComparison | None = None
    for first in range(0, len(x), block):
        part = FeatureComparison()
        for start in range(first, min(first + block, len(x)), batch):
            rows = slice(start, min(start + batch, first + block))
            part.update(x[rows], y[rows])
        part = pickle.loads(pickle.dumps(part))
        if joined is None:
            joined = part
        else:
            joined.extend(part)
    assert joined is not None
    return joined


def test_batches_change_no_bit_and_blocks_nothing_that_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "KEPT_PICTURES", 40)  # fewer than there are: some are drawn
    x, y = _features(0, 90), _features(1, 90, shift=0.2)
    scores = _compare(x, y, block=16, batch=3).scores()
    assert scores == _compare(x, y, block=16, batch=16).scores()
    assert scores["fid"] == pytest.approx(_compare(x, y, block=90, batch=8).scores()["fid"], rel=1e-9)
    assert scores["fid"] == pytest.approx(frechet_distance(_moments(x), _moments(y)), rel=1e-9)
    assert scores["kid"] == _compare(x, y, block=90, batch=8).scores()["kid"]


def test_every_picture_has_the_same_chance_to_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribution, "KEPT_PICTURES", 500)
    numbers = np.arange(4000, dtype=np.float32)[:, None]
    comparison = _compare(numbers, -numbers, block=64, batch=64)
    comparison.scores()
    assert comparison._kept is not None
    kept, partners = (features[:, 0] for features in comparison._kept)
    assert len(set(kept.tolist())) == 500
    assert np.array_equal(kept, -partners)  # pairs stay pairs
    counted = np.histogram(kept, bins=8, range=(0, 4000))[0]
    assert counted == pytest.approx(np.full(8, 62.5), abs=4 * math.sqrt(62.5))


def test_pictures_are_resized_corner_to_corner() -> None:
    """Upsampling 2 to 4: pixels at 0, ½, 1 and 1½, which has no right neighbour. With centred pixels: 0, ¼, ¾, 1."""
    row = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])
    assert resize_as_tensorflow(row, 4)[0, 0].tolist() == [[0.0, 0.5, 1.0, 1.0]] * 4
    assert torch.equal(resize_as_tensorflow(row.mT, 4), resize_as_tensorflow(row, 4).mT)
    # Downsampling 4 to 2 takes every other pixel.
    assert resize_as_tensorflow(torch.arange(16.0).view(1, 1, 4, 4), 2).flatten().tolist() == [0, 2, 8, 10]


@pytest.fixture(scope="module")
def network() -> InceptionV3:
    """Random weights of a scale that keeps signals alive, and statistics that are not trivial."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = InceptionV3()
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.uniform_(-0.1, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.1, 0.1)
    return network


def _pictures(count: int = 2, size: int = 64) -> Tensor:
    rng = np.random.default_rng(6)
    return torch.from_numpy(rng.integers(0, 256, (count, 3, size, size)).astype(np.uint8))


def test_the_layers_are_those_of_the_published_table(network: InceptionV3) -> None:
    """Szegedy et al. 2016: channels and side of every block's output, and the number of weights."""
    shapes: dict[str, tuple[int, ...]] = {}
    hooks = [
        module.register_forward_hook(lambda _, __, output, name=name: shapes.update({name: tuple(output.shape[1:3])}))
        for name, module in network.named_children()
    ]
    features = network(_pictures(1))
    for hook in hooks:
        hook.remove()
    assert features.shape == (1, 2048)
    assert list(shapes.items()) == [
        ("Conv2d_1a_3x3", (32, 149)),
        ("Conv2d_2a_3x3", (32, 147)),
        ("Conv2d_2b_3x3", (64, 147)),
        ("Conv2d_3b_1x1", (80, 73)),
        ("Conv2d_4a_3x3", (192, 71)),
        ("Mixed_5b", (256, 35)),
        ("Mixed_5c", (288, 35)),
        ("Mixed_5d", (288, 35)),
        ("Mixed_6a", (768, 17)),
        *((f"Mixed_6{letter}", (768, 17)) for letter in "bcde"),
        ("Mixed_7a", (1280, 8)),
        ("Mixed_7b", (2048, 8)),
        ("Mixed_7c", (2048, 8)),
    ]
    assert sum(parameter.numel() for parameter in network.parameters()) == 21_785_568


def test_it_is_torchvisions_network_but_for_tensorflows_pools(
    network: InceptionV3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchvision's pads average pools with zeros that count, and the last of its nine is no maximum."""
    theirs = torchvision.models.Inception3(aux_logits=False, init_weights=False).eval()
    theirs.fc = torch.nn.Identity()
    theirs.load_state_dict(network.state_dict())
    pools = iter(range(9))
    original = torch.nn.functional.avg_pool2d

    def pool(x: Tensor, *, kernel_size: int, stride: int, padding: int) -> Tensor:
        if next(pools) == 8:
            return torch.nn.functional.max_pool2d(x, kernel_size, stride, padding)
        return original(x, kernel_size, stride, padding, count_include_pad=False)

    monkeypatch.setattr(torchvision.models.inception.F, "avg_pool2d", pool)
    image = _pictures(1)
    with torch.inference_mode():
        expected = theirs((resize_as_tensorflow(image.float(), 299) - 128) / 128)
    monkeypatch.undo()
    assert next(pools, None) is None
    assert expected.std() > 1e-3
    torch.testing.assert_close(network(image), expected, rtol=1e-4, atol=1e-5)


def test_features_do_not_depend_on_the_batch(network: InceptionV3) -> None:
    pictures = _pictures(3)
    together = picture_features(network, pictures)
    assert np.array_equal(together[1:2], picture_features(network, pictures[1:2]))
    assert not np.array_equal(together[0], together[1])


def test_the_file_is_known_by_its_hash(network: InceptionV3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.pth"
    # The file has the classifier too, of 1,008 classes, and no counts of batches.
    state = {name: value for name, value in network.state_dict().items() if not name.endswith("num_batches_tracked")}
    torch.save(state | {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}, path)
    with pytest.raises(CheckpointError, match="may not be called FID; give that file, or 'none'"):
        load_inception(path, "evaluation.inception_weights")
    with pytest.raises(CheckpointError, match=r"evaluation.inception_weights: .*absent cannot be read"):
        load_inception(tmp_path / "absent", "evaluation.inception_weights")

    def accept(path: Path) -> None:
        monkeypatch.setattr(inception, "INCEPTION_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())

    accept(path)
    loaded = load_inception(path, "evaluation.inception_weights")
    image = _pictures(1)
    assert torch.equal(loaded(image), network(image))
    torch.save({"features.0.weight": torch.zeros(1)}, path)
    accept(path)
    with pytest.raises(CheckpointError, match="does not hold the layers of Inception-v3"):
        load_inception(path, "evaluation.inception_weights")
