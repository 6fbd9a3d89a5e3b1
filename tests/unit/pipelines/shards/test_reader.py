from __future__ import annotations

import io
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from raw_tree import RawTree, label_map, png, texture

from pipelines.data.shards import reader
from pipelines.data.shards.decode_raw import resize_label
from pipelines.data.shards.index import open_index
from pipelines.data.shards.loader import evaluation_batches, training_batches
from pipelines.data.shards.reader import RawBatch, ShardDataset, collate, decode_stored_image
from pipelines.data.shards.sampler import GlobalBatchSampler, SampleRequest
from pipelines.data.shards.scan import scan_tars
from sgenet.batch import InpaintingBatch
from sgenet.errors import DataError
from sgenet.transforms import resize_pixels

Pixels = np.ndarray


def _crop(image: Pixels, label: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    top, left = (int(rng.integers(0, size - 19)) for size in label.shape)
    return image[top : top + 20, left : left + 20], label[top : top + 20, left : left + 20]


def _hole(rng: np.random.Generator) -> Pixels:
    return (rng.random((20, 20)) < 0.3).astype(np.uint8)


def _whole(image: Pixels, label: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    return image, label


def _training(folder: Path) -> ShardDataset:
    return ShardDataset(open_index(folder).of_split("train"), _crop, _hole)


def test_a_lossless_sample_comes_back_exactly(shard_folder: Path) -> None:
    dataset = ShardDataset(open_index(shard_folder).of_split("val"), _whole)
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
    assert InpaintingBatch.from_uint8(*raw).keys == raw.keys
    assert 0.2 < raw.hole_mask.float().mean() < 0.4


def test_a_sample_follows_from_its_seed_alone(shard_folder: Path) -> None:
    first, second = _training(shard_folder), _training(shard_folder)
    second[SampleRequest(5, 1)]
    a, b, other = first[SampleRequest(2, 77)], second[SampleRequest(2, 77)], first[SampleRequest(2, 78)]
    assert torch.equal(a.image, b.image)
    assert torch.equal(a.hole_mask, b.hole_mask)
    assert not torch.equal(a.hole_mask, other.hole_mask)


@pytest.mark.parametrize("seed", [0, 77, 2**64 - 1])
def test_the_stream_of_a_seed_is_philox_from_its_start(shard_folder: Path, seed: int) -> None:
    drawn: list[np.ndarray] = []

    def remember(rng: np.random.Generator) -> Pixels:
        # An odd number of 32 bits first, of which a generator keeps the other half for the next.
        drawn.append(np.concatenate([rng.integers(0, 2**32, 3, np.uint32), rng.normal(size=5)]))
        return np.zeros((24, 30), np.uint8)

    dataset = ShardDataset(open_index(shard_folder).of_split("val"), _whole, remember)
    for each in (5, seed):
        dataset[SampleRequest(0, each)]
    fresh = np.random.Generator(np.random.Philox(key=seed))
    expected = np.concatenate([fresh.integers(0, 2**32, 3, np.uint32), fresh.normal(size=5)])
    np.testing.assert_array_equal(drawn[-1], expected)


def test_an_unlabelled_sample_is_all_ignore(shard_folder: Path) -> None:
    table = open_index(shard_folder).of_split("val")
    table.label_spans[:] = 0
    assert (ShardDataset(table, _whole)[SampleRequest(0, 0)].label == 255).all()


def test_both_jpeg_libraries_give_the_same_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("simplejpeg")
    content = io.BytesIO()
    Image.fromarray(texture(0, 120, 90)).save(content, "JPEG", quality=95, subsampling="4:4:4")
    fast = decode_stored_image(content.getvalue())
    monkeypatch.setattr(reader, "simplejpeg", None)
    assert (decode_stored_image(content.getvalue()) == fast).all()


def test_scanning_the_tars_gives_the_table_of_the_index(shard_folder: Path) -> None:
    for split in ("train", "val"):
        scanned, indexed = scan_tars(shard_folder, split), open_index(shard_folder).of_split(split)
        assert scanned.digest == indexed.digest
        assert scanned.keys.tolist() == indexed.keys.tolist()
        sizes = indexed.shard_sizes()
        assert scanned.shard_sizes().tolist() == sizes[sizes > 0].tolist()
        for name in ("image_spans", "label_spans", "sizes", "num_classes"):
            assert (getattr(scanned, name) == getattr(indexed, name)).all(), name
        paths = [[table.shard_path(row) for row in range(len(table))] for table in (scanned, indexed)]
        assert paths[0] == paths[1]


@pytest.mark.slow
def test_a_bare_machine_reads_shards_without_the_platform(shard_folder: Path) -> None:
    script = f"""
import sys
for name in ("pyarrow", "simplejpeg", "webdataset", "pydantic", "yaml", "rich", "cv2", "ray", "mlflow", "boto3", "dvc"):
    sys.modules[name] = None
from pathlib import Path
from pipelines.data.shards.loader import evaluation_batches
from pipelines.data.shards.reader import ShardDataset
from pipelines.data.shards.scan import scan_tars
table = scan_tars(Path({str(shard_folder)!r}), "val")
batch = next(evaluation_batches(ShardDataset(table, lambda image, label, rng: (image, label)), 3))
print(batch.keys, tuple(batch.image.shape))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "('val0', 'val1', 'val2') (3, 3, 24, 30)"


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
    dataset = ShardDataset(open_index(empty_tree.write()).of_split("val"), _whole)
    with pytest.raises(DataError, match=r"'a2' is .* and 'b2' .* a batch needs one size"):
        next(evaluation_batches(dataset, 2))


def test_a_split_that_does_not_exist_lists_those_that_do(shard_folder: Path) -> None:
    with pytest.raises(DataError, match=r"no samples of the split 'test'; the splits there are: train, val"):
        open_index(shard_folder).of_split("test")


def test_no_more_files_stay_open_than_allowed(shard_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_MAX_OPEN_FILES", 1)
    dataset = _training(shard_folder)
    once = [dataset[SampleRequest(row, 0)].image for row in range(7)]
    again = [dataset[SampleRequest(row, 0)].image for row in reversed(range(7))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    assert len(dataset._shards._descriptors) == 1


def test_a_dataset_sent_elsewhere_opens_its_own_files(shard_folder: Path) -> None:
    dataset = _training(shard_folder)
    image = dataset[SampleRequest(3, 9)].image
    copy = pickle.loads(pickle.dumps(dataset))
    assert not copy._shards._descriptors
    assert torch.equal(copy[SampleRequest(3, 9)].image, image)


def _take(folder: Path, number: int, **options: int) -> list[RawBatch]:
    dataset = _training(folder)
    batches = training_batches(dataset, GlobalBatchSampler([len(dataset)], 4, seed=1), **options)  # type: ignore[arg-type]
    return [next(batches) for _ in range(number)]


def _equal(first: list[RawBatch], second: list[RawBatch]) -> bool:
    return all(
        a.keys == b.keys and all(torch.equal(x, y) for x, y in zip(a[:3], b[:3], strict=True))
        for a, b in zip(first, second, strict=True)
    )


def test_training_batches_do_not_depend_on_the_number_of_processes(shard_folder: Path) -> None:
    alone = _take(shard_folder, 6)
    assert _equal(_take(shard_folder, 6, processes=1), alone)
    assert _equal(_take(shard_folder, 6, processes=2), alone)


def test_resuming_at_a_step_continues_the_same_batches(shard_folder: Path) -> None:
    assert _equal(_take(shard_folder, 3, start=3, processes=2), _take(shard_folder, 6)[3:])


def test_two_ranks_together_see_what_one_sees(shard_folder: Path) -> None:
    whole = _take(shard_folder, 3)
    halves = zip(_take(shard_folder, 3, rank=0, world=2), _take(shard_folder, 3, rank=1, world=2), strict=True)
    joined = [
        RawBatch(*(torch.cat(pair) for pair in zip(a[:3], b[:3], strict=True)), a.keys + b.keys) for a, b in halves
    ]
    assert _equal(joined, whole)


def test_making_a_loader_leaves_the_trainings_random_stream_alone(shard_folder: Path) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    _take(shard_folder, 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_evaluation_sees_every_sample_once_in_order(shard_folder: Path) -> None:
    dataset = ShardDataset(open_index(shard_folder).of_split("val"), _whole)
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
    before: RawBatch | None = None
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


def test_samples_that_do_not_fit_the_kept_memory_are_an_error_of_the_program(shard_folder: Path) -> None:
    dataset = _training(shard_folder)
    with pytest.raises(ValueError, match=r"a sample of .* for memory of"):
        next(training_batches(dataset, GlobalBatchSampler([7], 4, seed=1), crop=24))


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
