"""Training whose data and state lie on S3 learns what it learns from local folders, whatever goes wrong on the way."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from faulty_store import faulty_store
from tiny import DATASET, tiny_job, tiny_settings
from training_process import make_workspace, result_of, start_training

from pipelines.data.shards.ahead import WindowsAhead
from pipelines.data.shards.manifest import read_manifest
from pipelines.settings.params import CacheSettings, RunSettings
from pipelines.stages import shards
from pipelines.training.checkpoints import CheckpointStore
from pipelines.training.inputs import publish_for_workers
from pipelines.training.job import TrainingJob
from pipelines.training.launch import launch
from pipelines.training.worker import build_state
from sgenet.errors import DataError

pytestmark = pytest.mark.slow
STEPS = 6


@pytest.fixture(scope="module")
def expected(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> object:
    """What the undisturbed training learns from local folders."""
    job = tiny_job(tiny_dataset, tmp_path_factory.mktemp("local"), steps=STEPS)
    return _train(job)


@pytest.fixture
def job(tiny_dataset: Path, tmp_path: Path, s3_bucket: str) -> TrainingJob:
    """The same training, all on S3."""
    return _on_s3(tiny_dataset, tmp_path, s3_bucket)


def _on_s3(dataset: Path, folder: Path, bucket: str) -> TrainingJob:
    root = f"s3://{bucket}/store"
    job = replace(
        tiny_job(dataset, folder, steps=STEPS),
        checkpoints=f"{root}/checkpoints/tiny",
        cache=CacheSettings(folder=str(folder / "cache")),
    )
    return publish_for_workers(job, root)


def _train(job: TrainingJob) -> object:
    launch(job, RunSettings(workers=0, cpus_per_worker=1))
    store = CheckpointStore(job.checkpoints, keep=1)
    state = build_state(job)
    assert store.load_newest(state, pytest.fail) == STEPS
    losses = [(row.step, row.terms) for row in store.load_history(STEPS).losses]
    return losses, {name: weight.tolist() for name, weight in state.ema.network.state_dict().items()}


@pytest.fixture
def waits_for_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training begins, and enters a window, once what it leases is here: however slow the machine."""
    move_to = WindowsAhead.move_to

    def waiting(ahead: WindowsAhead, number: int) -> None:
        move_to(ahead, number)
        cache, deadline = ahead._shards.cache, time.monotonic() + 60
        assert cache._lease is not None
        lease = json.loads(cache._lease[0].read_text(encoding="utf-8"))
        leased = lease["now"].keys() | lease["next"].keys()
        while not leased <= {path.name for path in (cache.folder / "shards").iterdir()}:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    monkeypatch.setattr(WindowsAhead, "move_to", waiting)


def test_it_equals_training_from_local_folders(
    job: TrainingJob, expected: object, tiny_dataset: Path, tmp_path: Path, waits_for_shards: None
) -> None:
    # The folders are not read: they could be on another machine.
    assert not Path(job.shards).is_absolute()
    assert _train(job) == expected
    cached = {path.name for path in (tmp_path / "cache" / "shards").iterdir()}
    assert cached == {entry.sha256 for entry in read_manifest(tiny_dataset / "shards").shards}


def test_data_of_many_windows_and_a_cache_for_some_of_them_equal_training_from_local_folders(
    tiny_dataset: Path, tmp_path: Path, s3_bucket: str, waits_for_shards: None
) -> None:
    data = tiny_settings(tiny_dataset, tmp_path).data[DATASET].model_copy(update={"samples_per_shard": 2})
    shards.run(data, tiny_dataset / "sources.parquet", tmp_path / "shards", workers=1)
    sizes = [entry.size for entry in read_manifest(tmp_path / "shards").shards]
    local = replace(
        tiny_job(tiny_dataset, tmp_path / "local", steps=STEPS, window_gigabytes=0.9 * min(sizes) / 1e9),
        shards=str(tmp_path / "shards"),
    )
    root = f"s3://{s3_bucket}/store"
    cache = CacheSettings(folder=str(tmp_path / "cache"), gigabytes=0.7 * sum(sizes) / 1e9)
    published = publish_for_workers(replace(local, checkpoints=f"{root}/checkpoints/tiny", cache=cache), root)
    assert _train(published) == _train(local)
    assert len(list((tmp_path / "cache" / "shards").iterdir())) < len(sizes)


def test_a_damaged_shard_in_the_cache_is_said_and_changes_nothing(
    job: TrainingJob,
    expected: object,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    waits_for_shards: None,
) -> None:
    assert _train(replace(job, checkpoints=f"{job.checkpoints}-before")) == expected
    for path in (tmp_path / "cache" / "shards").iterdir():
        content = bytearray(path.read_bytes())
        for position in range(0, len(content), 100):
            content[position] ^= 1
        path.write_bytes(content)
    assert _train(job) == expected
    assert "was damaged or removed; fetching it again" in capsys.readouterr().out


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for the index and the masks but not for the shards."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk takes the rights of root")
    folder = tmp_path / "cache"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=80k", "tmpfs", str(folder)], check=False)
    if mounted.returncode:
        pytest.skip("this machine allows no mounts")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_for_the_cache_is_said_and_changes_nothing(
    small_disk: Path, job: TrainingJob, expected: object, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _train(job) == expected
    said = capsys.readouterr().out
    assert f"not all shards are cached in {small_disk}: the disk is full" in said


def test_failing_requests_and_a_stalled_connection_change_nothing(
    tiny_dataset: Path,
    tmp_path: Path,
    s3_bucket: str,
    s3_endpoint: str,
    expected: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")
    monkeypatch.setattr("pipelines.storage.store._SILENCE_SECONDS", 1)
    with faulty_store(s3_endpoint) as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL", store.endpoint)
        store.failing_share = 0.1
        store.stalls, store.stalling = 1, ".tar"
        assert _train(_on_s3(tiny_dataset, tmp_path, s3_bucket)) == expected
        assert store.counts["stalled"] == 1
        assert store.counts["failed"] > 0
        assert store.counts["cut"] > 0


@pytest.mark.parametrize("expiring", [".tar", "step-00000004.pt"])
def test_credentials_that_expire_are_one_sentence_and_renewed_ones_resume(
    tiny_dataset: Path,
    tmp_path: Path,
    s3_bucket: str,
    s3_endpoint: str,
    expected: object,
    expiring: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with faulty_store(s3_endpoint) as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL", store.endpoint)
        job = _on_s3(tiny_dataset, tmp_path, s3_bucket)
        store.expiring = expiring
        with pytest.raises(DataError) as caught:
            _train(job)
        said = str(caught.value)
        assert f"{expiring} could not be" in said
        assert said.endswith("the credentials have expired (ExpiredToken); renew them and run the same command again")
        assert "\n" not in said
        store.expiring = None
        assert _train(job) == expected


@pytest.mark.faults
def test_a_checkpoint_upload_that_is_cut_half_way_never_counts(
    tiny_dataset: Path, tmp_path: Path, s3_bucket: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"run": {"workers": 0}, "steps": STEPS}
    whole = make_workspace(tmp_path / "whole", tiny_dataset, str(tmp_path / "storage"), **settings)
    start_training(whole, {}).finish()

    workspace = make_workspace(tmp_path / "cut", tiny_dataset, f"s3://{s3_bucket}/store", **settings)
    with faulty_store(s3_endpoint) as store:
        monkeypatch.setenv("AWS_ENDPOINT_URL", store.endpoint)
        store.stalls, store.stalling = 1, "step-00000004.pt"
        training = start_training(workspace, os.environ)
        store.stalled.wait(120)
        training.kill()
        assert store.counts["stalled"] == 1

        resumed = start_training(workspace, os.environ)
        assert "continuing after step 2" in resumed.wait_for("continuing after step")
        resumed.finish()
    assert result_of(workspace) == result_of(whole)
