"""The page served by a process of its own, and Chromium to look at it with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import start_page, windows
from free_port import free_port
from inpainting_files import make_model

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
    root = tmp_path_factory.mktemp("models")
    return [make_model(root / method, method, image_size=256) for method in ("sge_net", "gated_conv")]


@pytest.fixture(scope="session")
def address(models: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the page is served: by ``python -m pipelines app``, as a person would start it."""
    port = free_port()
    # Of no registry: the models are the two named here, then perhaps the shipped one.
    folder = tmp_path_factory.mktemp("elsewhere")
    arguments = [f"--model={model}" for model in models]
    arguments += [f"--port={port}", "--max-megapixels=0.5", "--max-mebibytes=1"]
    with (folder / "errors").open("w") as errors:
        process = start_page(["app", *arguments], folder, f"127.0.0.1:{port}", errors)
        try:
            yield f"http://127.0.0.1:{port}"
            said = (folder / "errors").read_text()
            assert "Traceback" not in said, said
        finally:
            process.terminate()
            process.wait(20)


@pytest.fixture
def open_page(browser, address: str):
    """Open the page and wait until the first example is shown; see :func:`chromium.windows`."""
    with windows(browser, address) as opened:

        def shown(**window):
            page = opened(**window)
            page.wait_for_selector("[data-name=hole][data-shown]")
            return page

        yield shown
