"""Who may import whom: the arrows of ``docs/architecture.md``."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter

import pytest
from source_tree import ROOT, is_within, modules

LIBRARY_PACKAGES = frozenset(
    {
        "torch",
        "torchvision",
        "torchmetrics",
        "numpy",
        "PIL",
        "patchmatch",
        "segmentation_models_pytorch",
        "safetensors",
        "scipy",
        "skimage",
        "torch_fidelity",
        "annotated_types",
        "transformers",
    }
)
"""What ``sgenet`` may import beside the standard library."""

PLATFORM_PACKAGES = (
    "ray",
    "mlflow",
    "dvc",
    "webdataset",
    "boto3",
    "botocore",
    "pyarrow",
    "pydantic",
    "cv2",
    "pipelines",
)
"""What a machine that uses ``sgenet`` alone does not have."""

TIERS = (
    {"errors", "checks", "console", "label_space", "ranges", "settings", "precision", "batch"},
    {"layers", "mask_files", "masks", "transforms", "losses"},
    {"methods", "segmenters", "evaluation"},
    {"training", "inpainter", "export", "figures"},
    {"__main__"},
)
"""The parts of ``sgenet``; each may import itself and the tiers before its own."""

NEIGHBOURS = {
    ("masks", "mask_files"),
    ("losses", "layers"),
    # A segmenter is fitted as a method is.
    ("segmenters", "methods"),
    *((part, other) for part in TIERS[0] for other in TIERS[0]),
}
"""Imports that are allowed within a tier."""

FOLDERS = (
    "__main__",
    "command_line",
    "commands",
    "stages",
    "registry",
    "report",
    "inference",
    "training",
    "evaluation",
    "data",
    "tracking",
    "parallel",
    "storage",
    "settings",
    "landscapes",
)
"""The folders of ``pipelines``; each may import itself and those below it."""


def test_sgenet_imports_only_what_a_bare_torch_machine_has() -> None:
    allowed = LIBRARY_PACKAGES | sys.stdlib_module_names | {"sgenet"}
    strangers = [
        f"{module.name} imports {name}"
        for module in modules("sgenet")
        for name in sorted(module.imports)
        if name.split(".")[0] not in allowed
    ]
    assert strangers == []


def test_arrows_of_sgenet_point_downward() -> None:
    tier_of = {part: tier for tier, parts in enumerate(TIERS) for part in parts}
    wrong = []
    for module in modules("sgenet"):
        if module.name == "sgenet":
            continue
        part = module.name.split(".")[1]
        assert part in tier_of, f"sgenet/{part} has no place yet; add it to TIERS"
        for name in sorted(module.imports):
            if not is_within(name, "sgenet"):
                continue
            other = name.split(".")[1]
            if other == part or (part, other) in NEIGHBOURS or tier_of.get(other, len(TIERS)) < tier_of[part]:
                continue
            wrong.append(f"{module.name} imports {name}")
    assert wrong == []


def test_arrows_between_folders_of_pipelines_point_downward() -> None:
    wrong = []
    for module in modules("pipelines"):
        if module.name == "pipelines":
            continue
        folder = module.name.split(".")[1]
        assert folder in FOLDERS, f"{module.name} lies in no folder of docs/architecture.md; move it into one"
        above = FOLDERS[: FOLDERS.index(folder)]
        wrong += [
            f"{module.name} imports {name}"
            for name in sorted(module.imports)
            if is_within(name, "pipelines") and name != "pipelines" and name.split(".")[1] in above
        ]
    assert wrong == []


@pytest.mark.parametrize("package", ["sgenet", "pipelines"])
def test_no_circle_between_files(package: str) -> None:
    known = {module.name for module in modules(package)}
    arrows = {
        module.name: {
            target
            for name in module.imports
            for target in (name, name.rpartition(".")[0])
            if target in known and target != module.name and not module.name.startswith(target + ".")
        }
        for module in modules(package)
    }
    try:
        list(TopologicalSorter(arrows).static_order())
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_what_sgenet_imports_is_installed_with_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installed = {re.split(r"[\[>=]", requirement)[0] for requirement in project["dependencies"]}
    names = {"PIL": "pillow", "skimage": "scikit-image", "patchmatch": "pypatchmatch"}
    # The first comes with an extra of torchmetrics, the second with one of ours.
    needed = {names.get(package, package.replace("_", "-")) for package in LIBRARY_PACKAGES} - {
        "torch-fidelity",
        "transformers",
    }
    assert needed == installed


def test_stages_meet_through_files_only() -> None:
    wrong = [
        f"{module.name} imports {name}"
        for module in modules("pipelines")
        if is_within(module.name, "pipelines.stages")
        for name in sorted(module.imports)
        if is_within(name, "pipelines.stages")
    ]
    assert wrong == []


def run_python(code: str) -> str:
    """Run code in a fresh interpreter at the repository's root and return what it printed."""
    finished = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.slow
def test_sgenet_imports_without_the_platform_and_says_nothing() -> None:
    """Nor what only some methods and segmenters import, when they are built or draw their first edges."""
    absent = (*PLATFORM_PACKAGES, "skimage", "segmentation_models_pytorch", "transformers")
    names = [module.name for module in modules("sgenet")]
    printed = run_python(
        "import importlib, sys\n"
        f"for name in {absent!r}: sys.modules[name] = None\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
    )
    assert printed == ""


@pytest.mark.parametrize("entry", ["pipelines.command_line", "sgenet.__main__"])
def test_the_command_line_starts_without_heavy_packages(entry: str) -> None:
    """``python -m pipelines --help`` and ``python -m sgenet --help`` must answer at once."""
    heavy = ("torch", "ray", "mlflow", "dvc", "boto3", "cv2", "matplotlib", "gradio", "onnx", "onnxruntime")
    printed = run_python(f"import sys, {entry}; print(*(name for name in {heavy!r} if name in sys.modules), sep=',')")
    assert printed.strip() == ""
