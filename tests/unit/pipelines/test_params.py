"""Bad settings: every problem in a sentence, all of them together, before any work."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo
from dvc.utils.hydra import apply_overrides
from every_dataset import CONFIGS, settings_of_every_dataset
from PIL import Image

from pipelines.__main__ import main
from pipelines.settings.load import load, parse
from sgenet.errors import SettingsError
from sgenet.settings import DiscriminatorSettings

ROOT = Path(__file__).resolve().parents[3]


def _problems(raw: dict[str, Any]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        parse(raw)
    return list(caught.value.problems)


def test_the_repository_s_own_settings_have_no_problem() -> None:
    settings = settings_of_every_dataset()
    assert set(settings.data) == set(settings.masks)
    # Filled by the models of outdoor_photos, never trained on.
    assert set(settings.data) - set(settings.recipes) == {"intel_kept"}


def test_the_settings_of_the_demo_fit_on_a_screen() -> None:
    assert len((ROOT / "params.yaml").read_text().splitlines()) <= 60


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_can_take_the_place_of_params_yaml(config: Path, tmp_path: Path) -> None:
    """DVC finds each key that a stage depends on, and a setting is changed as by ``dvc exp run -S``."""
    settings = load(config)
    shutil.copy(config, tmp_path / "params.yaml")
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    dataset = settings.datasets[0]
    apply_overrides(tmp_path / "params.yaml", [f"+recipes.{dataset}.training.seed=7", "registry.name=mine"])
    with Repo.init(str(tmp_path), no_scm=True) as repository:
        stages = repository.index.stages
        for stage in stages:
            for dependency in stage.params:
                dependency.get_hash()
    assert {f"train@{name}-{method}" for name in settings.datasets for method in settings.methods} <= {
        stage.name for stage in stages
    }
    changed = load(tmp_path / "params.yaml")
    assert (changed.recipes[dataset].training.seed, changed.registry.name) == (7, "mine")


def test_dvc_prepares_and_fills_what_transfer_lists_and_trains_nothing_on_it(
    raw: dict[str, Any], tmp_path: Path
) -> None:
    raw["transfer"] = [{"dataset": "places2", "models_of": "mixed_scenes"}]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(raw))
    (tmp_path / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    with Repo.init(str(tmp_path), no_scm=True) as repository:
        stages = {stage.name for stage in repository.index.stages if "transfer" in stage.name}
    assert stages == {
        *(f"transfer_{part}@pair0" for part in ("shards", "masks", "baselines")),
        *(f"transfer@pair0-{method}" for method in raw["methods"]),
    }


def test_no_setting_has_two_names() -> None:
    """``dvc exp run -S`` loses a change to an aliased node, or makes it in both places."""
    events = yaml.parse((ROOT / "params.yaml").read_text())
    assert not any(isinstance(event, yaml.AliasEvent) for event in events)


def _transfers(dataset: str, models_of: str, times: int = 1) -> Callable[[dict[str, Any]], Any]:
    return lambda raw: raw.update(transfer=[{"dataset": dataset, "models_of": models_of}] * times)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda raw: raw.update(typo=1), "typo is not a setting"),
        (lambda raw: raw["evaluation"].update(floors=["telea"]), "evaluation.floors is now called baselines"),
        (lambda raw: raw["promotion"].update(floor="telea"), "promotion.floor is now called baseline"),
        (lambda raw: raw["promotion"].update(min_pictures=8), "promotion.min_pictures is now called min_images"),
        (
            lambda raw: raw["recipes"]["camvid"].update(critic={"width": 16}),
            "recipes.camvid.critic is now called discriminator",
        ),
        (
            lambda raw: raw["recipes"]["camvid"]["optimizer"].update(generator_rate=1e-4),
            "recipes.camvid.optimizer.generator_rate is now called generator_lr",
        ),
        (
            lambda raw: raw["recipes"]["camvid"].update(gated_conv={"critic_width": 16}),
            "recipes.camvid.gated_conv.critic_width is now called discriminator_width",
        ),
        (lambda raw: raw["recipes"]["camvid"]["losses"].update(lambda_p=1), "recipes.camvid.losses.lambda_p is not"),
        (lambda raw: raw["data"]["camvid"].update(crop="big"), "data.camvid.crop must be an integer"),
        (lambda raw: raw["data"]["camvid"].update(crop=144), "crop (144) is larger than shorter_side (128)"),
        (lambda raw: raw["data"]["camvid"].update(crop=100), "crop (100) must be divisible by 16"),
        (lambda raw: raw["data"]["camvid"].update(label_space="cityscapes"), "camvid has 11 classes, but the label"),
        (lambda raw: raw["data"]["camvid"].update(label_space="martian"), "label_space 'martian' is not known"),
        (lambda raw: raw["masks"]["camvid"]["training"][0].update(size=200), "masks.camvid.training: hole 0 (centre)"),
        (lambda raw: raw["datasets"].append("mars"), "datasets names 'mars', but data.mars does not exist"),
        (lambda raw: raw["datasets"].append("mixed_scenes"), "datasets names 'mixed_scenes' more than once"),
        (lambda raw: raw["registry"].update(method="sg_nut"), "registry.method is 'sg_nut'"),
        (lambda raw: raw["run"].update(workers=3), "batch_size (8) must be a multiple of run.workers (3)"),
        (lambda raw: raw["run"].update(workers=-1), "run.workers must be at least 0"),
        (lambda raw: raw["run"].update(workers={"min": 3, "max": 3}), "must be a multiple of run.workers (3)"),
        (lambda raw: raw["run"].update(workers={"min": 3, "max": 2}), "run.workers.min (3) is larger than"),
        (lambda raw: raw["run"].update(workers={"min": 1, "most": 2}), "run.workers.most is not a setting"),
        (lambda raw: raw["run"].update(cache={"gigabytes": 0}), "run.cache.gigabytes must be greater than 0"),
        (
            lambda raw: raw["recipes"]["camvid"]["training"].update(steps=0),
            "camvid.training.steps must be greater",
        ),
        (
            lambda raw: raw["recipes"]["camvid"]["training"].update(budget="wall_clock"),
            "recipes.camvid.training.seconds (0.0) must be a positive number for budget: wall_clock",
        ),
        (
            lambda raw: raw["recipes"]["camvid"]["training"].update(budget="wall_clock", seconds=float("inf")),
            "training.seconds (inf) must be a positive number",
        ),
        (
            lambda raw: raw["recipes"]["camvid"]["training"].update(seconds=60),
            "recipes.camvid.training.seconds (60.0) is given, but the budget is steps; set training.budget: wall_clock",
        ),
        (
            lambda raw: raw["recipes"]["camvid"]["training"].update(budget="patience"),
            "training.budget must be",
        ),
        (
            lambda raw: raw["recipes"]["camvid"]["network"].update(image_size=64),
            "network.image_size (64) must be the crop (128)",
        ),
        (lambda raw: raw["recipes"]["mixed_scenes"]["discriminator"].update(num_layers=6), "need images of"),
        (lambda raw: raw["data"]["mixed_scenes"]["sources"][0].update(seed=-1), "mixed_scenes has seed: -1"),
        (lambda raw: raw["data"]["mixed_scenes"]["sources"][0].update(size=[48, 80]), "smaller than the crop (64)"),
        (lambda raw: raw["data"]["mixed_scenes"]["sources"][0].update(train=0, val=0), "draws no images"),
        (lambda raw: raw["masks"]["camvid"]["evaluation"][0].update(name="a/b"), "the set 'a/b' names a file"),
        (
            lambda raw: raw["masks"]["camvid"]["evaluation"].append(raw["masks"]["camvid"]["evaluation"][0]),
            "two sets are",
        ),
        (
            lambda raw: raw["masks"]["camvid"]["evaluation"][0]["hole"].update(kind="centre", size=128),
            "a square of",
        ),
        (lambda raw: raw["datasets"].append("../mars"), "the name of the dataset '../mars' is also that of folders"),
        (lambda raw: raw.update(storage="gs://mars"), "storage ('gs://mars') must be"),
        (lambda raw: raw.update(storage="s3://"), "storage ('s3://') must be"),
        (lambda raw: raw.update(storage=" "), "storage (' ') must be"),
        (
            lambda raw: raw.update(run=None),
            "run must be a section, with its settings indented below it, found nothing",
        ),
        (lambda raw: raw.update(methods="sge_net"), "methods must be a list, such as [a, b], found 'sge_net'"),
        (_transfers("mixed_scenes", "mixed_scenes"), "transfer: mixed_scenes is one of datasets"),
        (_transfers("mars", "mixed_scenes"), "transfer: mars does not exist in data; add data.mars"),
        (_transfers("places2", "outdoor_mix"), "models_of is 'outdoor_mix', on which nothing is trained"),
        (_transfers("camvid", "mixed_scenes"), "transfer: camvid has other classes than mixed_scenes"),
        (_transfers("places2", "mixed_scenes", times=2), "transfer names 'places2' more than once"),
        (
            lambda raw: (
                _transfers("places2", "mixed_scenes")(raw),
                raw["labels"].update(places2={"score_filled": True}),
            ),
            "transfer: places2 has nothing to do for a segmenter",
        ),
    ],
)
def test_each_kind_of_mistake_is_named(
    raw: dict[str, Any], spoil: Callable[[dict[str, Any]], Any], sentence: str
) -> None:
    spoil(raw)
    problems = _problems(raw)
    assert any(sentence in problem for problem in problems), problems
    assert all("\n" not in problem for problem in problems)


def test_the_networks_size_follows_the_crop_where_it_is_not_named(raw: dict[str, Any]) -> None:
    raw["recipes"]["camvid"]["network"].pop("image_size", None)
    raw["data"]["camvid"]["crop"] = 96
    assert parse(raw).recipes["camvid"].network.image_size == 96
    assert "image_size" not in raw["recipes"]["camvid"]["network"]


def test_problems_of_every_kind_come_together(raw: dict[str, Any]) -> None:
    raw["typo"] = 1
    raw["data"]["camvid"]["jpeg_quality"] = "high"
    raw["data"]["camvid"]["crop"] = 256
    raw["masks"]["camvid"]["training"][0]["size"] = 300
    raw["masks"]["camvid"]["evaluation"][0]["hole"]["bogus"] = 1
    raw["data"]["outdoor_mix"]["sources"][0]["class_map"][3] = 12
    raw["recipes"]["camvid"]["optimizer"]["betas"] = [0.5, 1]
    text = "\n".join(_problems(raw))
    for part in ("typo", "jpeg_quality", "crop (256)", "a square of 300 px", "bogus", "sends 3 to 12", "betas.1"):
        assert part in text, text


def test_a_wrong_item_is_reported_once_and_not_as_a_missing_list(raw: dict[str, Any]) -> None:
    raw["masks"]["camvid"]["evaluation"] = [{"name": "a", "hole": {"kind": "strokes", "bogus": 1}}]
    problems = _problems(raw)
    assert len(problems) == 1
    assert "bogus is not a setting" in problems[0]


@pytest.mark.parametrize(("written", "meant"), [("method", "methods"), ("dataset", "datasets")])
def test_a_mistyped_setting_is_one_sentence_that_says_what_is_meant(
    raw: dict[str, Any], written: str, meant: str
) -> None:
    raw[written] = raw.pop(meant)
    (problem,) = _problems(raw)
    assert f"{written} is not a setting; did you mean {meant}?" in problem


@pytest.mark.parametrize(("num_layers", "num_scales"), [(1, 1), (2, 3), (3, 3), (4, 2)])
def test_the_smallest_crop_is_the_discriminator_s(raw: dict[str, Any], num_layers: int, num_scales: int) -> None:
    smallest = DiscriminatorSettings(num_layers=num_layers, num_scales=num_scales).smallest_image
    raw["recipes"]["mixed_scenes"]["discriminator"] = {"num_layers": num_layers, "num_scales": num_scales}
    raw["datasets"] = ["mixed_scenes"]
    # Something else is always wrong, so that there are problems to look through.
    raw["storage"] = "gs://mars"
    for crop, fits in ((smallest - 1, False), (smallest, True)):
        raw["data"]["mixed_scenes"]["crop"] = crop
        assert ("need images of" in "\n".join(_problems(raw))) is not fits


@pytest.mark.parametrize("command", ["train", "evaluate", "register"])
def test_a_method_that_is_not_in_the_settings_is_refused(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [command, "--dataset", "mixed_scenes", "--method", "mars", "--params", str(ROOT / "params.yaml")]
    assert main(arguments) == 2
    assert "there is no method 'mars'" in capsys.readouterr().err


def test_a_command_under_its_old_name_is_refused_with_the_new_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["floors", "--dataset", "mixed_scenes"])
    assert ended.value.code == 2
    assert "the command floors is now called baselines" in capsys.readouterr().err


def test_the_command_line_exits_with_2_and_one_line_a_problem(
    raw: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw["typo"] = 1
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(raw))
    assert main(["check", "--params", str(path)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert "typo is not a setting; remove it or correct its spelling" in output.err


def test_check_names_keys_that_stand_twice_names_mlflow_cannot_have_and_empty_splits(
    raw: dict[str, Any], tmp_path: Path
) -> None:
    for number in range(3):
        Image.new("RGB", (80, 80)).save(tmp_path / f"{number}.png")
    source = {"adapter": "folder", "root": str(tmp_path), "val_ratio": 0.01}
    own = {"sources": [source], "label_space": "camvid", "shorter_side": 64, "crop": 64}
    raw |= {"datasets": ["own"], "data": {"own": own}, "labels": {}, "transfer": []}
    raw |= {section: {"own": raw[section]["mixed_scenes"]} for section in ("masks", "recipes")}
    path = tmp_path / "params.yaml"

    path.write_text(yaml.safe_dump(raw))
    assert "data.own: none of the 3 images is in the split 'val'; raise val_ratio (0.01)" in refused_by_check(path)
    source["val_ratio"] = 0.5
    raw["registry"]["name"] = "team/sge-net"
    path.write_text(yaml.safe_dump(raw) + "storage: elsewhere\n")
    said = refused_by_check(path)
    assert "registry.name (team/sge-net) names a model; use letters, digits" in said
    assert "the key 'storage' is written twice, in line " in said


def refused_by_check(path: Path) -> str:
    """What the command prints in a process of its own, which ends with 2."""
    command = [sys.executable, "-m", "pipelines", "check", "--params", str(path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [1", "is not valid YAML"),
        ("a: 2020-13-45", "is not valid YAML: month must be"),
        (f"a: {'1' * 5000}", "is not valid YAML"),
        (f"a: {'[' * 3000}{']' * 3000}", "is nested too deeply"),
        (None, "does not exist"),
        ("- 1", "(the whole file) must be a section"),
        ("", "(the whole file) must be a section"),
    ],
)
def test_a_file_that_is_no_settings_file(tmp_path: Path, text: str | None, sentence: str) -> None:
    path = tmp_path / "params.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match=sentence.replace("(", r"\(").replace(")", r"\)")):
        load(path)
