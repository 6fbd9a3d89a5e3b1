"""The command line as a newcomer meets it: without a command, with a wrong one, under either of its names."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

from pipelines.__main__ import main

NAMES = [("/usr/local/bin/sgenet", "sgenet"), ("/somewhere/pipelines/__main__.py", "python -m pipelines")]


def test_without_a_command_all_of_them_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown = capsys.readouterr()
    assert "  inpaint       Fill the hole" in shown.out
    assert shown.err == ""


@pytest.mark.parametrize(("typed", "hint"), [("inpant", "did you mean inpaint?"), ("xyzzy", "--help` lists all")])
def test_a_wrong_command_is_answered_with_the_likely_one(
    typed: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([typed, "photo.jpg"])
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"there is no command '{typed}'; " in said
    assert said.endswith(hint)


def test_a_wrong_option_is_answered_with_the_usage_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["masks", "--dataset", "mixed_scenes", "--devise", "cpu"])
    said = capsys.readouterr().err
    assert "masks [-h]" in said
    assert said.endswith("unrecognized arguments: --devise cpu\n")


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["--method", "sgenet", "--dataset", "mixed_scenes"], "there is no method 'sgenet' (base_net, "),
        (["--method", "sgenet", "--dataset", "mixed_scenes"], "; did you mean sge_net?\n"),
        (
            ["--method", "lama", "--dataset", "mixed_scenes"],
            "lama is not in methods (base_net, sg_net, sge_net); ",
        ),
        (["--dataset", "mixed_scene"], "; did you mean mixed_scenes?\n"),
    ],
)
@pytest.mark.usefixtures("untrained")
def test_a_mistyped_method_or_dataset_is_answered_with_the_likely_one(
    arguments: list[str], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", *arguments]) == 2
    assert answer in capsys.readouterr().err


@pytest.mark.parametrize("command", ["app", "serve", "ui", "study"])
def test_a_port_is_one(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([command, "--port", "65536"])
    assert "'65536' is not a port; give a number from 1 to 65535" in capsys.readouterr().err


def test_a_page_is_not_prepared_for_a_port_that_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["app", "--port", str(port)]) == 2
    expected = f"error: port {port} of 127.0.0.1 cannot be used (Address already in use); choose another with --port\n"
    assert capsys.readouterr().err == expected


def test_an_address_is_not_taken_for_a_folder_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(["example", "s3://bucket/example"])
    assert "s3:/bucket/example is an address, and example needs a file or folder of" in capsys.readouterr().err
    assert main(["inpaint", "s3://bucket/a.png", "--mask", "s3://bucket/b.png", "-o", "s3://c.png"]) == 2
    assert "the output s3://c.png names no bucket; give s3://bucket/name" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("called", "name"), NAMES)
def test_examples_are_written_as_the_command_was_called(
    called: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", [called])
    with pytest.raises(SystemExit, match="0"):
        main(["inpaint", "--help"])
    assert f"    {name} inpaint photo.jpg --mask mask.png -o filled.png" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(("called", "name"), NAMES)
def test_what_is_to_be_typed_next_is_written_as_the_command_was_called(
    called: str, name: str, tmp_path: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", [called])
    assert main(["example", str(tmp_path)]) == 0
    assert capsys.readouterr().out.startswith(f"{name} inpaint {tmp_path}/photo.png --mask ")


@pytest.fixture
def untrained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working folder has the demo's settings, and nothing else."""
    shutil.copy(Path(__file__).parents[3] / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_record_of_a_training_is_named(content: str, capsys: pytest.CaptureFixture[str]) -> None:
    facts = Path("runs/mixed_scenes/sge_net/model/training.json")
    facts.parent.mkdir(parents=True)
    facts.write_text(content)
    assert main(["evaluate", "--dataset", "mixed_scenes", "--method", "sge_net"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {facts} is damaged (")


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize("command", ["evaluate", "register"])
def test_a_method_that_is_not_trained_yet_is_one_sentence(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--dataset", "mixed_scenes", "--method", "sge_net"]) == 2
    model = Path("runs/mixed_scenes/sge_net/model")
    assert capsys.readouterr().err == (
        f"error: {model} does not exist: sge_net is not trained yet; train it first with `dvc repro`, or "
        "`python -m pipelines train --dataset mixed_scenes --method sge_net`\n"
    )
