"""``infra/ray-up.aws.yaml``, through the checks that ``ray up`` makes before it talks to a cloud."""

from __future__ import annotations

import copy
import re
from typing import Any

import jsonschema
import pytest
from infra_files import INFRA, ROOT, read_yaml
from ray.autoscaler._private.util import prepare_config, validate_config


@pytest.fixture
def config() -> dict[str, Any]:
    content: dict[str, Any] = read_yaml(INFRA / "ray-up.aws.yaml")
    return content


def test_ray_accepts_the_file(config: dict[str, Any]) -> None:
    validate_config(prepare_config(copy.deepcopy(config)))
    with pytest.raises(jsonschema.ValidationError):
        validate_config(prepare_config({**copy.deepcopy(config), "autoscaling": "much"}))


def test_what_is_not_said_is_not_taken_from_ray_s_defaults(config: dict[str, Any]) -> None:
    """The defaults install a nightly Ray on every node; ours is in the image."""
    prepared = prepare_config(copy.deepcopy(config))
    commands = [command for key in prepared if key.endswith("_commands") for command in prepared[key]]
    assert [command for command in commands if "ray-wheels" in command or "pip install -U" in command] == []


def test_workers_are_gpus_on_spot_instances_and_the_head_is_not(config: dict[str, Any]) -> None:
    types = config["available_node_types"]
    head = types.pop(config["head_node_type"])
    assert "InstanceMarketOptions" not in head["node_config"]
    assert head["resources"]["CPU"] == 0
    assert types
    for worker in types.values():
        assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
        assert worker["resources"]["GPU"] >= 1
        assert worker["node_config"]["ImageId"].startswith("ami-"), (
            "the driver is that of an image, not of Ray's choice"
        )
        assert worker["min_workers"] == 0
        assert worker["max_workers"] <= config["max_workers"]


OLDEST_DRIVER = {"13": 580}
"""Of each CUDA, by NVIDIA's table of compatibility."""


def test_what_to_put_for_the_placeholder_of_the_image_is_said_with_the_driver_that_the_lock_needs(
    config: dict[str, Any],
) -> None:
    locked = re.search(r"^nvidia-cuda-runtime==((\d+)\.\d+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert locked is not None
    cuda, driver = locked[1], OLDEST_DRIVER[locked[2]]
    assert config["available_node_types"]["gpu"]["node_config"]["ImageId"] == "ami-00000000000000000"
    beside = (INFRA / "ray-up.aws.yaml").read_text().split("ImageId: ami-")[0].splitlines()[-4:]
    explained = (ROOT / "docs" / "cluster-guide.md").read_text().split("## 4. A cloud")[1]
    for text in ("\n".join(beside), explained):
        assert "placeholder" in text
        assert re.search(rf"driver\s(of\s)?{driver} or newer", text)
        assert f"CUDA {cuda}" in text
    assert f"--region {config['provider']['region']} " in explained


def test_nodes_ask_for_the_token_and_the_dashboard_stays_on_the_head(config: dict[str, Any]) -> None:
    starts = [
        command
        for key in ("head_start_ray_commands", "worker_start_ray_commands")
        for command in config[key]
        if "ray start" in command
    ]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in starts[0]
    assert "~/.ray/auth_token" in config["file_mounts"]


def test_no_key_lies_on_a_node(config: dict[str, Any]) -> None:
    assert "AWS_SECRET" not in (INFRA / "ray-up.aws.yaml").read_text()
    for node in config["available_node_types"].values():
        assert node["node_config"]["IamInstanceProfile"]
        assert all(disk["Ebs"]["Encrypted"] for disk in node["node_config"]["BlockDeviceMappings"])
