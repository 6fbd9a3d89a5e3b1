"""``infra/Dockerfile``, read as the builder reads it: there is no Docker in the tests."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest
from infra_files import INFRA, ROOT

INSTRUCTIONS = {"FROM", "ARG", "ENV", "RUN", "WORKDIR", "COPY", "USER", "EXPOSE", "HEALTHCHECK", "CMD"}


class Instruction(NamedTuple):
    word: str
    rest: str


@pytest.fixture(scope="module")
def stages() -> dict[str, list[Instruction]]:
    """The instructions of each stage by its name, in order."""
    text = re.sub(r"^#.*\n", "", (INFRA / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, list[Instruction]] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        word, _, rest = line.partition(" ")
        assert word in INSTRUCTIONS, line
        if word == "FROM":
            _, _, name = rest.partition(" AS ")
            assert name, f"{line}: a stage needs a name"
            found[name] = []
        found[name].append(Instruction(word, rest))
    return found


def _final(stages: dict[str, list[Instruction]]) -> dict[str, list[Instruction]]:
    return {name: stages[name] for name in ("mlflow", "ray")}


def test_stages_are_made_from_earlier_ones_or_a_pinned_image(stages: dict[str, list[Instruction]]) -> None:
    known: set[str] = set()
    for name, instructions in stages.items():
        base = instructions[0].rest.partition(" AS ")[0]
        assert base in known or re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base), base
        for instruction in instructions:
            copied_from = re.match(r"--from=(\S+)", instruction.rest)
            if instruction.word == "COPY" and copied_from:
                assert copied_from[1] in known
        known.add(name)


def test_nothing_runs_as_root(stages: dict[str, list[Instruction]]) -> None:
    for name, instructions in _final(stages).items():
        words = [instruction.word for instruction in instructions]
        assert "USER" in words, name
        assert next(instruction.rest for instruction in instructions if instruction.word == "USER") == "1000"
        assert "RUN" not in words[words.index("USER") :], name


def test_images_say_whether_they_are_well(stages: dict[str, list[Instruction]]) -> None:
    for name, instructions in _final(stages).items():
        checks = [instruction.rest for instruction in instructions if instruction.word == "HEALTHCHECK"]
        assert len(checks) == 1, name
        command = json.loads(checks[0].partition("CMD ")[2])
        assert command[:2] == ["python", "-c"]
        compile(command[2], name, "exec")
        start = next(instruction.rest for instruction in instructions if instruction.word == "CMD")
        assert json.loads(start)[0] in ("mlflow", "ray")


def test_every_package_is_pinned_by_the_lock(stages: dict[str, list[Instruction]]) -> None:
    installs = [
        shlex.split(part)
        for instructions in stages.values()
        for instruction in instructions
        if instruction.word == "RUN"
        for part in re.split(r"&&|;", instruction.rest)
        if "pip install" in part
    ]
    assert len(installs) >= 4
    for words in installs:
        pinned = "requirements.lock" in words or "--no-deps" in words or any("^uv==" in word for word in words)
        assert pinned, words
    # A constraint says nothing about a package that the lock does not name.
    locked = {line.partition("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines()}
    assert {"mlflow", "boto3", "psycopg2-binary", "torch", "torchvision", "uv"} <= locked


def test_the_image_compiles_kernels_and_speaks_to_infiniband(stages: dict[str, list[Instruction]]) -> None:
    """Without a C compiler `training.compile` is refused; without libibverbs NCCL goes by sockets and says nothing."""
    installed = {word for instruction in stages["ray"] if "apt-get install" in instruction.rest
                 for word in instruction.rest.split()}  # fmt: skip
    assert {"gcc", "libc6-dev", "libibverbs1"} <= installed


def test_mlflow_starts_no_processes_for_jobs(stages: dict[str, list[Instruction]]) -> None:
    variables = " ".join(instruction.rest for instruction in stages["mlflow"] if instruction.word == "ENV")
    assert "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false" in variables.split()


def test_what_is_copied_exists_and_reaches_the_builder(stages: dict[str, list[Instruction]]) -> None:
    copied = [
        source
        for instructions in stages.values()
        for instruction in instructions
        if instruction.word == "COPY" and "--from=" not in instruction.rest
        for source in [word for word in instruction.rest.split() if not word.startswith("--")][:-1]
    ]
    assert "sgenet" in copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert _reaches_builder(source), f"{source} is left out by Dockerfile.dockerignore"


def test_secrets_data_and_environments_do_not_reach_the_builder() -> None:
    for path in ("infra/.env", "data", "storage", ".venv", ".git", "mlflow", "runs"):
        assert not _reaches_builder(path), path


def _reaches_builder(path: str) -> bool:
    """By the last pattern that matches."""
    sent = True
    for line in (INFRA / "Dockerfile.dockerignore").read_text().splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        if any(fnmatch.fnmatch(part, pattern.lstrip("!")) for part in (path, *map(str, Path(path).parents))):
            sent = pattern.startswith("!")
    return sent
