"""Which failures of a training on a cluster are tried again, and what is said of a GPU that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from ray.exceptions import ActorDiedError
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback, WorkerHealthCheckFailedError
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from pipelines.parallel import cluster, device
from pipelines.training import worker
from pipelines.training.job import WorkerPlace
from pipelines.training.ray_train import is_fault_of_program
from sgenet.errors import SettingsError, UserError
from sgenet.settings import TrainingSettings


def _failed(*causes: Exception) -> WorkerGroupError:
    by_ray = (ActorDiedError, WorkerHealthCheckFailedError)
    raised = [cause if isinstance(cause, by_ray) else UserExceptionWithTraceback(cause, "") for cause in causes]
    return WorkerGroupError("", dict(enumerate(raised)))


LOST = RuntimeError("[../gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:2341")
BUG = RuntimeError("The size of tensor a (3) must match the size of tensor b (4)")


@pytest.mark.parametrize(
    ("causes", "fault"),
    [
        ([BUG], True),
        ([KeyError("x"), LOST], True),
        ([LOST], False),
        ([LOST, dist.DistBackendError("NCCL communicator was aborted")], False),
        ([ActorDiedError()], False),
        ([LOST, WorkerHealthCheckFailedError("A worker health check failed.", ActorDiedError())], False),
        # What a lost worker leaves behind may look like anything.
        ([ActorDiedError(), BUG], False),
    ],
)
def test_a_fault_of_the_program_is_shown_once_and_a_lost_worker_replaced(causes: list[Exception], fault: bool) -> None:
    assert is_fault_of_program(_failed(*causes)) == fault


def test_what_ray_itself_could_not_do_is_tried_again() -> None:
    assert not is_fault_of_program(ControllerError(TimeoutError("the workers did not start")))


def test_a_gpu_without_memory_for_the_step_is_said_to_the_user() -> None:
    class Job:
        dataset = "mine"

        class recipe:
            class training:
                batch_size = 64

    with (
        pytest.raises(
            UserError, match=r"cuda:1 of worker 1 has too little memory for 32 images .* 2.00 GiB\); use more"
        ),
        worker._out_of_memory_said(Job, WorkerPlace(1, 2, "cuda:1")),  # type: ignore[arg-type]
    ):
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 1 has a total".replace("memory. T", "memory: t")
        )


def test_a_driver_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def init() -> None:
        raise RuntimeError(
            "The NVIDIA driver on your system is too old (found version 12020). Please update your driver."
        )

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", init)
    with pytest.raises(SettingsError, match=r"driver .* is too old \(found version 12020\)\).*driver for CUDA 13\.0"):
        device.check_device("cuda")
    device.check_device("cpu")
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(SettingsError, match="is built without CUDA"):
        device.check_device("cuda")


def test_compiling_without_a_c_compiler_is_refused_before_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "check_device", lambda device: None)
    monkeypatch.setattr(worker.shutil, "which", lambda name: None)
    monkeypatch.setattr(worker, "choose_kernels", lambda device, deterministic: None)
    with pytest.raises(SettingsError, match=r"training\.compile is true, but there is no C compiler; install gcc"):
        worker._prepare_process(WorkerPlace(device="cuda:0"), TrainingSettings(compile=True))
    worker._prepare_process(WorkerPlace(), TrainingSettings(compile=True))


def test_gpus_that_one_node_of_a_cluster_cannot_use_are_said_with_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [
        {"NodeID": name, "NodeManagerAddress": f"10.0.0.{name}", "Resources": {"CPU": 8.0, "GPU": gpus}}
        for name, gpus in (("1", 0.0), ("2", 8.0), ("3", 8.0))
    ]
    problems = {"2": None, "3": "PyTorch finds no GPU (the driver is too old)"}
    monkeypatch.setattr(cluster, "_usable_nodes", lambda: nodes)
    # Nodes without GPUs are not asked: they have no answer here.
    monkeypatch.setattr(cluster, "_ask", lambda node, question: (node, problems[node]))
    monkeypatch.setattr(cluster.ray, "wait", lambda asked, **_: (asked, []))
    monkeypatch.setattr(cluster.ray, "get", lambda reference: reference[1])
    with pytest.raises(UserError, match=r"the node 10\.0\.0\.3 of the cluster .*the driver is too old"):
        cluster.Cluster(cpus_per_worker=1, gpus_per_worker=1).check_gpus()
    cluster.Cluster(cpus_per_worker=1, gpus_per_worker=0).check_gpus()
