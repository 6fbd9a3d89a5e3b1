"""``train --dry-run``: what it says is what a training then does and takes, and it leaves no trace."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
import yaml
from ticking import set_clock
from tiny import DATASET, METHOD, tiny_job, tiny_recipe, tiny_settings
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from pipelines.__main__ import main
from pipelines.settings.load import parse
from pipelines.settings.params import RunSettings
from pipelines.stages import train as stage
from pipelines.training.display import LoggedStep
from pipelines.training.dry_run import NetworkSize, dry_run, first_batch, measure
from pipelines.training.inputs import open_inputs
from pipelines.training.job import Reached, TrainingJob, WorkerPlace
from pipelines.training.memory import StepMemory
from pipelines.training.worker import build_state, train
from sgenet.batch import InpaintingBatch, Uint8Batch
from sgenet.errors import CheckpointError, DataError
from sgenet.methods.build import count_macs
from sgenet.training.state import TrainingState
from sgenet.training.step import training_step

HERE = RunSettings(workers=0)


@dataclass(frozen=True)
class Measured:
    """A training, its state, its first batch, and what it was measured to take: seconds for each measurement."""

    job: TrainingJob
    state: TrainingState
    batch: Uint8Batch
    size: NetworkSize


@pytest.fixture(scope="module")
def measured(tiny_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    job = tiny_job(tiny_dataset, tmp_path_factory.mktemp("measured"))
    state, batch = build_state(job), first_batch(job, HERE, open_inputs(job))
    return Measured(job, state, batch, measure(job, HERE, state, batch))


@pytest.fixture
def step_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a step takes is known, for whom it does not matter."""
    known = StepMemory(peak=2**20, computed=False, flops=10**9)
    monkeypatch.setattr("pipelines.training.dry_run.step_memory", lambda *given: known)


class _StopAfter:
    """A display that asks to stop once a step has been logged."""

    def __init__(self, step: int) -> None:
        self._last, self._stop = step, False
        self.said: list[str] = []

    def show(self, logged: LoggedStep) -> None:
        self._stop = logged.step >= self._last

    def say(self, text: str) -> None:
        self.said.append(text)

    def stop_requested(self) -> bool:
        return self._stop


def _train(job: TrainingJob, display: _StopAfter) -> Reached:
    return train(job, WorkerPlace(), display, display.stop_requested)


def _said(job: TrainingJob, run: RunSettings = HERE) -> str:
    return "\n".join(dry_run(job, run))


@pytest.mark.slow
# In bfloat16 oneDNN keeps buffers of its own, which count beside networks as small as these.
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 0.03), ("bfloat16", 0.2)])
def test_the_memory_of_a_step_is_what_a_real_step_allocates(
    tiny_dataset: Path, tmp_path: Path, precision: str, tolerance: float
) -> None:
    job = tiny_job(tiny_dataset, tmp_path / "storage", precision=precision)
    state, batch = build_state(job), first_batch(job, HERE, open_inputs(job))
    size = measure(job, HERE, state, batch)
    assert not size.step.computed
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        training_step(state, InpaintingBatch.from_uint8(batch.image, batch.hole_mask, batch.label))
    allocated = _peak(profiler, tmp_path / "trace.json")
    # At the peak, in the generator's backward pass, the discriminator has been updated: its moments are there.
    discriminator_moments = 2 * sum(4 * weight.numel() for weight in state.method.discriminator.parameters())
    assert allocated == pytest.approx(size.step.peak + discriminator_moments, rel=tolerance)


def _peak(profiler: profile, trace: Path) -> int:
    profiler.export_chrome_trace(str(trace))
    events = json.loads(trace.read_text())["traceEvents"]
    return max(event["args"]["Total Allocated"] for event in events if event["name"] == "[memory]")


@pytest.mark.slow
def test_a_checkpoint_has_the_size_it_was_said_to_have(measured: Measured) -> None:
    state, batch = build_state(measured.job), measured.batch
    training_step(state, InpaintingBatch.from_uint8(batch.image, batch.hole_mask, batch.label))
    content = {key: value for key, value in state.state_dict().items() if key != "random"}
    # Adam also keeps a counter of steps beside each weight, a number of four bytes.
    assert measured.size.checkpoint == sum(
        tensor.numel() * tensor.element_size() for tensor in _tensors(content) if tensor.dim()
    )


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)


@pytest.mark.slow
def test_measuring_leaves_the_training_as_it_was(measured: Measured) -> None:
    state, fresh = measured.state, build_state(measured.job)
    for after, untouched in zip(_tensors(state.state_dict()), _tensors(fresh.state_dict()), strict=True):
        assert torch.equal(after, untouched)
    weights = [*state.method.generator.parameters(), *state.method.discriminator.parameters()]
    assert all(weight.grad is None for weight in weights)
    assert all(weight.requires_grad for weight in state.method.discriminator.parameters())


@pytest.mark.slow
def test_a_worker_holds_its_share_and_the_gradients_that_travel(measured: Measured) -> None:
    run = RunSettings(workers=2)
    two = measure(measured.job, run, measured.state, first_batch(measured.job, run, open_inputs(measured.job)))
    assert measured.size.buckets == 0
    assert two.buckets * 2 == two.moments
    assert two.step.peak < 0.8 * measured.size.step.peak


@pytest.mark.slow
@pytest.mark.usefixtures("step_known")
def test_it_says_from_where_the_training_would_continue(tiny_dataset: Path, tmp_path: Path) -> None:
    job = tiny_job(tiny_dataset, tmp_path / "storage", checkpoint_every=2)
    assert "next            start from the beginning, 8 steps" in _said(job)
    assert _train(job, _StopAfter(5)) == (5, False)
    assert f"run key         {job.run_key}" in _said(job)
    assert "next            continue after step 5 of 8" in _said(job)

    newest = Path(job.checkpoints) / "step-00000005.pt"
    newest.write_bytes(newest.read_bytes()[:-100])
    said = _said(job)
    assert "skipped the checkpoint of step 5" in said
    assert "next            continue after step 4 of 8" in said

    _train(job, _StopAfter(99))
    assert "next            train no step: all 8 are done" in _said(job)


@pytest.mark.slow
@pytest.mark.usefixtures("step_known")
def test_it_says_how_much_of_a_wall_clock_budget_is_left(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_clock(monkeypatch)
    job = tiny_job(tiny_dataset, tmp_path / "storage", budget="wall_clock", seconds=3.5)
    assert "next            start from the beginning, 3.5 seconds of training" in _said(job)
    assert _train(job, _StopAfter(2)) == (2, False)
    assert "next            continue after step 2, 2 of 3.5 seconds used" in _said(job)
    assert _train(job, _StopAfter(99)) == (4, True)
    assert "next            train no step: all 3.5 seconds are used" in _said(job)


@pytest.mark.usefixtures("step_known")
def test_the_command_prints_the_key_of_the_training_and_writes_nothing(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / DATASET).symlink_to(tiny_dataset)
    settings = tiny_settings(tiny_dataset, tmp_path / "storage")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    before = sorted(path for root in (tmp_path, tiny_dataset) for path in root.rglob("*"))

    assert main(["train", "--dataset", DATASET, "--method", METHOD, "--dry-run"]) == 0

    said = capsys.readouterr().out
    shards, masks = tiny_dataset / "shards", tiny_dataset / "masks"
    job = stage.plan(settings, DATASET, METHOD, shards, masks, stage.read_digests(shards, masks))
    assert f"run key         {job.run_key}" in said
    assert "4 × 32×32 px" in said
    assert sorted(path for root in (tmp_path, tiny_dataset) for path in root.rglob("*")) == before


def test_what_would_stop_the_training_stops_the_dry_run(tiny_dataset: Path, tmp_path: Path) -> None:
    job = tiny_job(tiny_dataset, tmp_path / "storage")
    with pytest.raises(DataError, match="run the shards stage"):
        dry_run(replace(job, shards=tmp_path / "nothing"), HERE)
    recipe = tiny_recipe()
    recipe["losses"] |= {"perceptual": 0.1, "perceptual_weights": str(tmp_path / "vgg.pth")}
    settings = tiny_settings(tiny_dataset, tmp_path / "storage").model_dump(mode="json")
    settings["recipes"][DATASET] = recipe
    digests = stage.Digests(shards="shards", masks="masks", code="code")
    job = stage.plan(parse(settings), DATASET, METHOD, tiny_dataset / "shards", tiny_dataset / "masks", digests)
    with pytest.raises(CheckpointError, match=r"vgg\.pth does not exist"):
        dry_run(job, HERE)


@pytest.mark.usefixtures("step_known")
@pytest.mark.parametrize(("use_gpu", "expected"), [(False, "float32"), (True, "bfloat16")])
def test_the_precision_is_that_of_the_workers_devices(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use_gpu: bool, expected: str
) -> None:
    monkeypatch.setattr("sgenet.precision.has_bfloat16", lambda device: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    job = tiny_job(tiny_dataset, tmp_path / "storage", precision="auto")
    assert f"images a step, {expected}:" in _said(job, RunSettings(workers=0, use_gpu=use_gpu))


@pytest.mark.slow
@pytest.mark.usefixtures("step_known")
def test_it_estimates_what_gpus_would_take_and_warns_of_too_little_work_for_each(measured: Measured) -> None:
    job = measured.job
    generator = 2 * count_macs(measured.state.method.generator, job.crop) * measured.batch.image.shape[0]
    assert measured.size.step.flops > 3 * generator, "its forward and backward passes, and the discriminator's"
    said = _said(job, RunSettings(workers=2, use_gpu=True))
    assert "estimated, not measured" in said
    assert re.search(r"2 × H200 +[\d,.e+]+ to [\d,.e+]+ images/s, .* hours, .* USD", said)
    assert "is 2 images a step for each of 2 GPUs" in said
    assert "USD" not in _said(job)


@pytest.mark.parametrize(("precision", "warned"), [("bfloat16", True), ("auto", False)])
def test_bfloat16_asked_for_by_name_is_warned_of_where_it_is_emulated(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, warned: bool
) -> None:
    monkeypatch.setattr("sgenet.precision.has_bfloat16", lambda device: False)
    monkeypatch.setattr("pipelines.training.worker.has_bfloat16", lambda device: False)
    display = _StopAfter(1)
    _train(tiny_job(tiny_dataset, tmp_path / "storage", precision=precision), display)
    assert any("emulates bfloat16" in text for text in display.said) == warned
