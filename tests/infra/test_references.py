"""Every command, file and variable that the guide, the infra files and the workflow name is there."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from every_dataset import settings_of_every_dataset
from infra_files import INFRA, ROOT, read_yaml, strings

from pipelines.__main__ import main
from pipelines.settings.load import load

GUIDE = ROOT / "docs" / "cluster-guide.md"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPTS = [INFRA / "make-secrets", ROOT / ".ci" / "run"]
_COMMAND = re.compile(r"(?:python -m pipelines|\bsgenet(?= [a-z_]+ )) +(?P<arguments>[^`\n|>#;&\"]+)")
# Not in the repository: what a command writes, and what the reader is to write.
_MADE_LATER = (
    "infra/.env",
    "benchmarks/results/gpu_hour.json",
    "sgenet/methods/toy/",
    "pipelines/data/adapters/toy.py",
)
_PLACEHOLDER = re.compile(r"\b(NAME|DATASET|METHOD)\b|<[^>]+>|\$\{\{?|\$\(|…|\.\.\.")


def _files() -> Iterator[Path]:
    yield from DOCUMENTS
    yield from WORKFLOWS
    yield from (path for path in sorted(INFRA.rglob("*")) if path.is_file() and path.name != ".env")
    yield ROOT / "dvc.yaml"


def _commands() -> list[Any]:
    """(file, arguments) of every ``python -m pipelines …`` that is written out in full."""
    found = []
    for path in _files():
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        for match in _COMMAND.finditer(text):
            arguments = match["arguments"].strip().rstrip(".,)'")
            if not _PLACEHOLDER.search(arguments) and not arguments.startswith("<"):
                found.append(pytest.param(arguments, id=f"{path.name}: {arguments[:60]}"))
    return found


@pytest.mark.parametrize("arguments", _commands())
def test_the_command_line_knows_every_command(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With ``--help`` behind, the parser reads all that stands before and runs nothing."""
    words = shlex.split(arguments)
    with pytest.raises(SystemExit) as left:
        main([*words, "--help"])
    assert left.value.code == 0, capsys.readouterr().err
    settings = settings_of_every_dataset()
    known = {"dataset": settings.data, "method": (*settings.methods, "gated_conv", "edge_connect", "spg_net")}
    for option, names in known.items():
        if f"--{option}" in words:
            value = words[words.index(f"--{option}") + 1]
            assert value in names or value == "mine", f"{value} is in no settings file"


def test_there_are_commands_to_check() -> None:
    assert len(_commands()) > 8


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_paths_of_the_documents_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    paths = re.findall(r"(?<![\w./-])(?:infra|docs|pipelines|sgenet|tests|benchmarks|\.github)/[\w./*-]*[\w*]", text)
    missing = [link for link in links if link and not (document.parent / link).exists()]
    missing += [path for path in paths if not any(ROOT.glob(path)) and not path.startswith(_MADE_LATER)]
    assert missing == []


def test_settings_that_the_guide_names_exist() -> None:
    settings = load(ROOT / "params.yaml").model_dump(mode="json")
    text = GUIDE.read_text(encoding="utf-8").replace("<dataset>", "mixed_scenes")
    keys = re.findall(r"`((?:run|storage|registry|search|recipes)\.(?!json\b)[\w.]+)`", text)
    assert len(keys) > 5
    for key in keys:
        inside: Any = settings
        for part in key.split("."):
            assert isinstance(inside, dict), key
            assert part in inside, f"{key} is no setting"
            inside = inside[part]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shell_scripts_are_well_formed(script: Path) -> None:
    assert subprocess.run(["bash", "-n", script], capture_output=True, check=False).returncode == 0
    assert script.stat().st_mode & 0o100, f"{script} cannot be run"
    assert "set -euo pipefail" in script.read_text()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_the_workflow_runs_what_is_there(path: Path) -> None:
    workflow = read_yaml(path)
    assert workflow["permissions"] == {"contents": "read"}
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (INFRA / "Dockerfile").read_text(), re.MULTILINE)
    services = read_yaml(INFRA / "compose.yaml")["services"]
    for name, job in workflow["jobs"].items():
        assert job["runs-on"].startswith("ubuntu-"), name
        assert "timeout-minutes" in job
        assert set([job["needs"]] if "needs" in job else []) <= set(workflow["jobs"])
        for step in job["steps"]:
            assert "uses" in step or "run" in step
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1"))
    commands = [text for text in strings(workflow["jobs"]) if re.match(r"(make|docker|infra/|\.ci/|shellcheck)", text)]
    for command in commands:
        words = command.split()
        if words[0] == "make":
            assert set(words[1:]) <= targets
        for word in words:
            if re.match(r"(infra|\.ci)/", word):
                assert (ROOT / word).is_file(), word
        if "--target" in words:
            assert words[words.index("--target") + 1] in stages
        if "exec" in words:
            assert words[words.index("-T") + 1] in services
    assert any(command.startswith("make check") for command in commands)


def test_every_infra_file_is_named_in_the_guide() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    files = [path for path in INFRA.rglob("*") if path.is_file() and path.name != ".env"]
    assert [str(path.relative_to(ROOT)) for path in files if str(path.relative_to(ROOT)) not in text] == []
