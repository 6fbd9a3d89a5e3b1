"""The page served by a process of its own, and Chromium to look at it with."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from free_port import free_port

from sgenet.label_space import OUTDOOR_SCENES
from sgenet.methods.build import build_generator
from sgenet.methods.gated_conv.settings import GatedConvSettings
from sgenet.methods.recipe import Recipe
from sgenet.methods.release import save_released
from sgenet.settings import NetworkSettings

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ROOT = Path(__file__).resolve().parents[2]
STARTS_WITHIN = 120
"""Seconds; importing PyTorch and Gradio on a busy machine takes a while."""


# Playwright keeps an event loop running as long as it is open: no longer than this folder's tests.
@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    if not CHROMIUM:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A guided method and one without segmentation, tiny and random."""
    recipe = Recipe(
        network=NetworkSettings(widths=(4, 4, 4, 4, 4), context_blocks=1, modulation_width=4),
        gated_conv=GatedConvSettings(width=4),
    )
    root = tmp_path_factory.mktemp("models")
    for method in ("sge_net", "gated_conv"):
        torch.manual_seed(3)
        generator = build_generator(method, recipe, OUTDOOR_SCENES.num_classes)
        save_released(root / method, method, generator, recipe, OUTDOOR_SCENES)
    return [root / "sge_net", root / "gated_conv"]


@pytest.fixture(scope="session")
def address(models: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the page is served: by ``python -m pipelines app``, as a person would start it."""
    port = free_port()
    # Of no registry: the models are the two named here, then perhaps the shipped one.
    folder = tmp_path_factory.mktemp("elsewhere")
    arguments = [f"--model={model}" for model in models]
    arguments += [f"--port={port}", "--max-megapixels=0.5", "--max-mebibytes=1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pipelines", "app", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(folder), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=(folder / "errors").open("w"),
        text=True,
    )
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], STARTS_WITHIN)
        line = process.stdout.readline() if ready else ""
        assert f"127.0.0.1:{port}" in line, (folder / "errors").read_text()
        yield f"http://127.0.0.1:{port}"
        errors = (folder / "errors").read_text()
        assert "Traceback" not in errors, errors
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def open_page(browser, address: str):
    """Open the page in a window of its own and wait until the first example is shown.

    What the window asked of any other machine, and what its scripts complained of, fails the test.
    """
    contexts, strangers, complaints = [], [], []

    def asked(request) -> None:
        if not request.url.startswith((address, "data:", "blob:")):
            strangers.append(request.url)

    def said(message) -> None:
        # Being told that the line is full is an answer the test asks for, not a complaint.
        if message.type == "error" and "status of 503" not in message.text:
            complaints.append(message.text)

    def opened(**window):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **window})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("request", asked)
        page.on("console", said)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        page.wait_for_selector("[data-name=hole][data-shown]")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert strangers == []
    assert complaints == []
