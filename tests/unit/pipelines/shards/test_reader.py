from __future__ import annotations

import io
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from raw_tree import RawTree, crop, label_map, png, texture, whole

from pipelines.data.shards import reader
from pipelines.data.shards.decode_raw import resize_label
from pipelines.data.shards.index import open_index
from pipelines.data.shards.loader import evaluation_batches, training_batches
from pipelines.data.shards.reader import ShardDataset, collate, decode_stored_image
from pipelines.data.shards.sampler import GlobalBatchSampler, SampleRequest
from sgenet.batch import InpaintingBatch, Uint8Batch
from sgenet.errors import DataError
from sgenet.transforms import resize_pixels

Pixels = np.ndarray


def _hole(rng: np.random.Generator) -> Pixels:
    return (rng.random((20, 20)) < 0.3).astype(np.uint8)


def _training(folder: Path) -> ShardDataset:
    return ShardDataset(open_index(folder).of_split("train"), crop, _hole)


def test_a_lossless_sample_comes_back_exactly(shard_folder: Path) -> None:
    dataset = ShardDataset(open_index(shard_folder).of_split("val"), whole)
    for seed in range(3):
        sample = dataset[SampleRequest(seed, 0)]
        expected = resize_pixels(texture(seed), 24, 30)
        assert (sample.image.permute(1, 2, 0).numpy() == expected).all()
        assert (sample.label.numpy() == resize_label(label_map(seed), (30, 24))).all()
        assert sample.key == f"val{seed}"
        assert not sample.hole_mask.any()


def test_shapes_types_and_polarity_are_those_of_the_batch(shard_folder: Path) -> None:
    dataset = _training(shard_folder)
    raw = collate([dataset[request] for request in GlobalBatchSampler([7], 4, seed=0).batch(0)])
    assert [(tensor.shape, tensor.dtype) for tensor in raw[:3]] == [
        ((4, 3, 20, 20), torch.uint8),
        ((4, 1, 20, 20), torch.uint8),
        ((4, 20, 20), torch.uint8),
    ]
    images = InpaintingBatch.from_uint8(*raw[:3])
    assert images.image.shape == (4, 3, 20, 20)
    assert len(raw.keys) == 4
    assert 0.2 < raw.hole_mask.float().mean() < 0.4


def test_a_sample_follows_from_its_seed_alone(shard_folder: Path) -> None:
    first, second = _training(shard_folder), _training(shard_folder)
    second[SampleRequest(5, 1)]
    a, b, other = first[SampleRequest(2, 77)], second[SampleRequest(2, 77)], first[SampleRequest(2, 78)]
    assert torch.equal(a.image, b.image)
    assert torch.equal(a.hole_mask, b.hole_mask)
    assert not torch.equal(a.hole_mask, other.hole_mask)


def test_an_unlabelled_sample_is_all_ignore(shard_folder: Path) -> None:
    table = open_index(shard_folder).of_split("val")
    table.label_spans[:] = 0
    assert (ShardDataset(table, whole)[SampleRequest(0, 0)].label == 255).all()


def test_both_jpeg_libraries_give_the_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simplejpeg")
    content = io.BytesIO()
    Image.fromarray(texture(0, 120, 90)).save(content, "JPEG", quality=95, subsampling="4:4:4")
    fast = decode_stored_image(content.getvalue())
    monkeypatch.setattr(reader, "simplejpeg", None)
    assert (decode_stored_image(content.getvalue()) == fast).all()


def test_a_shard_cut_short_is_named_with_the_key(shard_folder: Path) -> None:
    dataset = _training(shard_folder)
    path = shard_folder / "train-000002.tar"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"sample 'train6' of .*train-000002\.tar cannot be read \(the shard ends"):
        dataset[SampleRequest(6, 0)]


def test_a_transform_that_refuses_is_named_with_the_key(shard_folder: Path) -> None:
    def refuse(image: Pixels, label: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
        raise DataError("too small")

    dataset = ShardDataset(open_index(shard_folder).of_split("val"), refuse)
    with pytest.raises(DataError, match=r"'val2' of .*val-000000\.tar: too small"):
        dataset[SampleRequest(2, 0)]


def test_images_of_different_sizes_are_not_put_together(empty_tree: RawTree) -> None:
    empty_tree.add("train", "a", png(texture(0)), png(label_map(0)))
    empty_tree.add("val", "a2", png(texture(0)), png(label_map(0)))
    empty_tree.add("val", "b2", png(texture(0, 64, 32)), png(label_map(0, 64, 32)))
    empty_tree.index()
    dataset = ShardDataset(open_index(empty_tree.write()).of_split("val"), whole)
    with pytest.raises(DataError, match=r"'a2' is .* and 'b2' .* a batch needs one size"):
        next(evaluation_batches(dataset, 2))


def test_a_split_that_does_not_exist_lists_those_that_do(shard_folder: Path) -> None:
    with pytest.raises(DataError, match=r"no samples of the split 'test'; the splits there are: train, val"):
        open_index(shard_folder).of_split("test")


def _take(folder: Path, number: int, **options: int) -> list[Uint8Batch]:
    dataset = _training(folder)
    batches = training_batches(dataset, GlobalBatchSampler([len(dataset)], 4, seed=1), **options)  # type: ignore[arg-type]
    return [next(batches) for _ in range(number)]


def _equal(first: list[Uint8Batch], second: list[Uint8Batch]) -> bool:
    return all(
        a.keys == b.keys and all(torch.equal(x, y) for x, y in zip(a[:3], b[:3], strict=True))
        for a, b in zip(first, second, strict=True)
    )


def test_training_batches_are_the_same_with_any_number_of_processes_and_when_resumed(shard_folder: Path) -> None:
    alone = _take(shard_folder, 6)
    assert _equal(_take(shard_folder, 6, processes=1), alone)
    assert _equal(_take(shard_folder, 6, processes=2), alone)
    assert _equal(_take(shard_folder, 3, start=3, processes=2), alone[3:])


def test_two_ranks_together_see_what_one_sees(shard_folder: Path) -> None:
    whole = _take(shard_folder, 3)
    halves = zip(_take(shard_folder, 3, rank=0, world=2), _take(shard_folder, 3, rank=1, world=2), strict=True)
    joined = [
        Uint8Batch(*(torch.cat(pair) for pair in zip(a[:3], b[:3], strict=True)), a.keys + b.keys) for a, b in halves
    ]
    assert _equal(joined, whole)


def test_making_a_loader_leaves_the_trainings_random_stream_alone(shard_folder: Path) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    _take(shard_folder, 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_evaluation_sees_every_sample_once_in_order(shard_folder: Path) -> None:
    dataset = ShardDataset(open_index(shard_folder).of_split("val"), whole)
    assert [batch.keys for batch in evaluation_batches(dataset, 2)] == [("val0", "val1"), ("val2",)]


def test_a_failure_in_a_decoding_process_arrives_as_its_own_sentence(shard_folder: Path) -> None:
    dataset = _training(shard_folder)
    for path in shard_folder.glob("train-*.tar"):
        path.write_bytes(path.read_bytes()[:100])
    batches = training_batches(dataset, GlobalBatchSampler([7], 4, seed=1), processes=1)
    with pytest.raises(DataError, match=r"^sample 'train\d' of [^\n]* cannot be read [^\n]*$"):
        next(batches)


@pytest.mark.parametrize("processes", [0, 1, 2])
def test_memory_that_is_used_again_holds_the_same_batches_until_the_next_but_one(
    shard_folder: Path, processes: int
) -> None:
    expected, dataset = _take(shard_folder, 30), _training(shard_folder)
    sampler = GlobalBatchSampler([len(dataset)], 4, seed=1)
    batches = training_batches(dataset, sampler, processes=processes, prefetch=2, crop=20)
    places: list[int] = []
    before: Uint8Batch | None = None
    for number in range(30):
        batch = next(batches)
        time.sleep(0.002)  # the processes read on as far as they may
        assert _equal([batch], [expected[number]])
        if before is not None:
            assert _equal([before], [expected[number - 1]])
        before = batch
        places.append(batch.image.data_ptr())
    period = processes * (2 + 2) if processes else 2
    assert len(set(places)) == period
    assert places[period:] == places[:-period]


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")
def test_batches_in_memory_that_is_used_again_need_no_named_shared_memory(
    shard_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(tensor: torch.Tensor) -> torch.Tensor:
        raise OSError("no space left on /dev/shm")

    monkeypatch.setattr(torch.Tensor, "share_memory_", refuse)
    monkeypatch.setattr(torch.UntypedStorage, "_share_fd_cpu_", refuse)
    dataset = _training(shard_folder)
    batches = training_batches(dataset, GlobalBatchSampler([7], 4, seed=1), processes=2, crop=20)
    assert _equal([next(batches)], _take(shard_folder, 1))
