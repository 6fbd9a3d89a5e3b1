"""``inpaint`` over many images: killed, interrupted, on cores and on a cluster, the results are the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from inpainting_files import files_below, make_model, make_tree
from ray_head import driver_environment, ray_head

from pipelines.__main__ import main
from pipelines.inference.folders.manifest import read_manifest
from pipelines.storage.store import open_storage

pytestmark = [pytest.mark.slow, pytest.mark.faults]
NAMES = [f"{number % 7}/{number:04d}.png" for number in range(160)]
# The manifest is written so often that it has its first part long before the last image.
OFTEN = """
from pipelines.__main__ import console
from pipelines.inference.folders import manifest
manifest._SECONDS_BETWEEN_WRITES = 0.1
console()
"""
SECONDS = 300


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("many")
    make_tree(root, NAMES)
    make_model(root / "model")
    return root


@pytest.fixture(scope="module")
def undisturbed(tree: Path) -> dict[str, bytes]:
    """What one process makes of the images without being disturbed."""
    arguments = [str(tree / "photos"), "--mask", str(tree / "holes"), "-o", str(tree / "undisturbed")]
    assert main(["inpaint", *arguments, "--model", str(tree / "model"), "--workers", "1"]) == 0
    return results(tree / "undisturbed")


def results(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files_below(folder) if name.endswith(".png")}


def recorded(folder: Path) -> set[str]:
    return {str(row["output"]) for row in read_manifest(open_storage(str(folder))) if row["status"] == "done"}


def command(output: str, *arguments: str) -> list[str]:
    given = ["photos", "--mask", "holes", "-o", output, "--model", "model", *arguments]
    return [sys.executable, "-c", OFTEN, "inpaint", *given]


@contextmanager
def started(tree: Path, output: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command, once it has recorded some of its images; none of its processes is left."""
    environment = {**driver_environment(), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command(output, "--workers", "2"), cwd=tree, env=environment, start_new_session=True, stderr=subprocess.PIPE
    )
    try:
        deadline = time.monotonic() + SECONDS
        while not recorded(tree / output):
            assert process.poll() is None, "it ended before it could be disturbed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert process.stderr is not None
        process.stderr.close()


def go_on(tree: Path, output: str) -> str:
    finished = subprocess.run(
        command(output, "--workers", "2"),
        cwd=tree,
        env={**driver_environment(), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_killed_half_way_the_next_call_repeats_nothing_recorded_and_misses_nothing(
    tree: Path, undisturbed: dict[str, bytes]
) -> None:
    output = tree / "killed"
    with started(tree, "killed") as process:
        os.killpg(process.pid, signal.SIGKILL)
    done = recorded(output)
    assert 0 < len(done) < len(NAMES)
    written = {name: (output / name).stat().st_mtime_ns for name in done}
    printed = go_on(tree, "killed")
    assert f"filled {len(NAMES) - len(done):,} of {len(NAMES):,} images, {len(done):,} were done already" in printed
    assert {name: (output / name).stat().st_mtime_ns for name in done} == written
    assert results(output) == undisturbed
    assert recorded(output) == undisturbed.keys()


def test_interrupted_the_manifest_holds_all_that_was_done(tree: Path, undisturbed: dict[str, bytes]) -> None:
    with started(tree, "interrupted") as process:
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(SECONDS) == 130
        assert process.stderr is not None
        assert b"interrupted; to resume: " in process.stderr.read()
    assert 0 < len(recorded(tree / "interrupted")) < len(NAMES)
    go_on(tree, "interrupted")
    assert results(tree / "interrupted") == undisturbed


def test_a_cluster_makes_the_same_images_from_a_model_that_its_nodes_do_not_have(
    tree: Path, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    with ray_head(tmp_path, num_cpus=2) as address:
        finished = subprocess.run(
            command("clustered"),
            cwd=tree,
            env={**driver_environment(), "RAY_ADDRESS": address},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert finished.returncode == 0, finished.stderr
    assert results(tree / "clustered") == undisturbed
    assert recorded(tree / "clustered") == undisturbed.keys()
