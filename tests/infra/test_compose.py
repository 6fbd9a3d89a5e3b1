"""``infra/compose.yaml``: complete, closed to other machines, and no secret of its own."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from infra_files import INFRA, ROOT, environment, read_yaml, strings
from sqlalchemy import make_url

_VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?P<rule>:[?-])?(?P<rest>[^}]*)\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = read_yaml(INFRA / "compose.yaml")
    return content


@pytest.fixture
def made_secrets(tmp_path: Path) -> Path:
    """A folder in which ``make-secrets`` has run."""
    for name in ("make-secrets", ".env.example"):
        shutil.copy(INFRA / name, tmp_path / name)
    subprocess.run([tmp_path / "make-secrets"], check=True, capture_output=True)
    return tmp_path / ".env"


def test_services_name_services_volumes_and_targets_that_exist(compose: dict[str, Any]) -> None:
    services = compose["services"]
    targets = re.findall(r"^FROM \S+ AS (\S+)$", (INFRA / "Dockerfile").read_text(), re.MULTILINE)
    for name, service in services.items():
        assert set(service.get("depends_on", {})) <= set(services), name
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in compose["volumes"], name
        if "build" in service:
            assert service["build"]["target"] in targets
            assert (INFRA / service["build"]["context"] / service["build"]["dockerfile"]).resolve().is_file()
    assert set(read_yaml(INFRA / "compose.gpu.yaml")["services"]) <= set(services)


def test_whoever_is_waited_for_can_answer(compose: dict[str, Any]) -> None:
    """``service_healthy`` of a service without a check waits indefinitely."""
    services = compose["services"]
    own_check = {"mlflow", "ray"}  # targets of the Dockerfile that have one
    for service in services.values():
        for other, wanted in service.get("depends_on", {}).items():
            checked = "healthcheck" in services[other] or services[other].get("build", {}).get("target") in own_check
            assert wanted["condition"] != "service_healthy" or checked, other
            if wanted["condition"] == "service_completed_successfully":
                assert services[other].get("restart", "no") == "no", f"{other} would never be done"


def test_ports_are_of_this_machine_alone(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_images_are_pinned(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        tag = _VARIABLE.sub(lambda match: match["rest"], service["image"]).partition(":")[2]
        assert tag, f"{service['image']} has no tag"
        assert tag != "latest"


def test_every_password_must_be_given(compose: dict[str, Any], made_secrets: Path) -> None:
    """A variable without a default stops Compose; one that holds a secret has none."""
    given = environment((INFRA / ".env.example").read_text())
    secret = {name for name, value in given.items() if not value}
    documented = set(re.findall(r"^#? ?([A-Z][A-Z0-9_]*)=", (INFRA / ".env.example").read_text(), re.MULTILINE))
    for text in strings(compose):
        for variable in _VARIABLE.finditer(text):
            assert variable["name"] in documented, f"{variable['name']} is not in .env.example"
            if variable["name"] in given:
                assert variable["rule"] == ":?", f"{variable['name']} has a default"
    environments = [service.get("environment", {}) for service in compose["services"].values()]
    for key, value in [item for variables in environments for item in variables.items()]:
        if re.search("PASSWORD|SECRET|TOKEN", key):
            assert {match["name"] for match in _VARIABLE.finditer(value)} & secret, f"{key} is written out"


def test_secrets_are_random_and_nobody_else_reads_them(made_secrets: Path, tmp_path: Path) -> None:
    assert stat.S_IMODE(made_secrets.stat().st_mode) == 0o600
    first = environment(made_secrets.read_text())
    empty = [name for name, value in environment((INFRA / ".env.example").read_text()).items() if not value]
    assert len({first[name] for name in empty}) == len(empty) >= 4
    assert all(re.fullmatch("[0-9a-f]{32}", first[name]) for name in empty)

    # Running it again changes nothing: the database was made with these.
    again = subprocess.run([tmp_path / "make-secrets"], check=True, capture_output=True, text=True)
    assert environment(made_secrets.read_text()) == first
    assert "stays as it is" in again.stdout
    made_secrets.unlink()
    subprocess.run([tmp_path / "make-secrets"], check=True, capture_output=True)
    second = environment(made_secrets.read_text())
    assert not {first[name] for name in empty} & {second[name] for name in empty}


def test_git_ignores_the_secrets() -> None:
    answer = subprocess.run(["git", "check-ignore", "infra/.env"], cwd=ROOT, capture_output=True, check=False)
    if answer.returncode == 128:
        pytest.skip("not a git repository")
    assert answer.returncode == 0


def test_mlflow_reaches_its_database_by_the_driver_that_is_installed(compose: dict[str, Any]) -> None:
    address = _VARIABLE.sub("secret", compose["services"]["mlflow"]["environment"]["MLFLOW_BACKEND_STORE_URI"])
    # Without a name in the address, SQLAlchemy's version decides.
    driver = make_url(address).get_driver_name()
    assert f"{driver}-binary" in (INFRA / "Dockerfile").read_text().split()


@pytest.mark.slow
def test_mlflow_answers_the_names_it_is_called_by(compose: dict[str, Any]) -> None:
    """Any other host name is answered with 403; judged by MLflow's own function."""
    from mlflow.server.security_utils import is_allowed_host_header

    service = compose["services"]["mlflow"]
    allowed = next(part for part in service["command"] if part.startswith("--allowed-hosts=")).partition("=")[2]
    asked = compose["services"]["ray-head"]["environment"]["MLFLOW_TRACKING_URI"].removeprefix("http://")
    for host in (asked, "localhost:5000", "127.0.0.1:5000"):
        assert is_allowed_host_header(allowed.split(","), host), host
    assert not is_allowed_host_header(allowed.split(","), "evil.example.com")


def test_compose_itself_accepts_the_files(made_secrets: Path, tmp_path: Path) -> None:
    client = _compose_client()
    if client is None:
        pytest.skip("no docker compose on this machine")
    folder = tmp_path / "infra"
    folder.mkdir()
    for name in ("compose.yaml", "compose.gpu.yaml"):
        text = (INFRA / name).read_text()
        # Compose 1 knows no name for the project; all else is the same.
        known = text if client[0] == "docker" else re.sub(r"^name: .*\n", "", text, flags=re.MULTILINE)
        (folder / name).write_text(known)
    files = ["-f", str(folder / "compose.yaml"), "-f", str(folder / "compose.gpu.yaml")]
    accepted = _run([*client, "--env-file", str(made_secrets), *files, "config", "--quiet"])
    assert accepted.returncode == 0, accepted.stderr
    empty = tmp_path / "empty.env"
    empty.touch()
    refused = _run([*client, "--env-file", str(empty), *files, "config", "--quiet"])
    assert refused.returncode != 0
    assert "run infra/make-secrets" in refused.stderr


def _compose_client() -> list[str] | None:
    for client in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(client[0]) and _run([*client, "version"]).returncode == 0:
            return client
    return None


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(command, capture_output=True, text=True, env=variables, check=False, timeout=60)
