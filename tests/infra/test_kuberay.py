"""``infra/kuberay``: fields that KubeRay and Kubernetes know, and what a training on spot nodes needs of them.

Without a Kubernetes here, the fields that the files may use are written down below, from the types of
KubeRay's API (``ray.io/v1``, release 1.6) and Kubernetes' core API. An unknown field is refused, as the API
server refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import jsonschema
import pytest
import yaml
from every_dataset import settings_of_every_dataset
from infra_files import INFRA, read_yaml

from pipelines.settings.layout import DatasetPaths

_STRING = {"type": "string"}
_COUNT = {"type": "integer", "minimum": 0}
_BOOLEAN = {"type": "boolean"}
_STRINGS = {"type": "object", "additionalProperties": _STRING}
_QUANTITY = {"type": "string", "pattern": r"^\d+(\.\d+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"}
_QUANTITIES = {"type": "object", "additionalProperties": _QUANTITY}


def _object(required: str = "", **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required.split(),
        "properties": properties,
    }


def _list(item: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": item}


_METADATA = _object("name", name={"type": "string", "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}, labels=_STRINGS)
_NAMED = _object("name", name=_STRING)
_RESOURCES = _object("requests limits", requests=_QUANTITIES, limits=_QUANTITIES)
_CONTAINER = _object(
    "name image resources",
    name=_STRING,
    image=_STRING,
    ports=_list(_object("containerPort", name={"type": "string", "maxLength": 15}, containerPort=_COUNT)),
    envFrom=_list(_object(configMapRef=_NAMED, secretRef=_NAMED)),
    securityContext=_object(allowPrivilegeEscalation=_BOOLEAN),
    resources=_RESOURCES,
    volumeMounts=_list(_object("name mountPath", name=_STRING, mountPath=_STRING, readOnly=_BOOLEAN)),
)
_VOLUME = _object(
    "name",
    name=_STRING,
    emptyDir=_object(medium={"enum": ["", "Memory"]}, sizeLimit=_QUANTITY),
    configMap=_NAMED,
)
_TOLERATION = _object(
    "key operator",
    key=_STRING,
    operator={"enum": ["Exists", "Equal"]},
    value=_STRING,
    effect={"enum": ["NoSchedule", "PreferNoSchedule", "NoExecute"]},
)
_POD = _object(
    "containers",
    containers=_list(_CONTAINER),
    volumes=_list(_VOLUME),
    nodeSelector=_STRINGS,
    tolerations=_list(_TOLERATION),
    terminationGracePeriodSeconds=_COUNT,
    automountServiceAccountToken=_BOOLEAN,
    securityContext=_object(runAsNonRoot=_BOOLEAN, runAsUser=_COUNT, fsGroup=_COUNT),
)
_TEMPLATE = _object("spec", metadata=_object(labels=_STRINGS), spec=_POD)
_CLUSTER = _object(
    "headGroupSpec",
    rayVersion=_STRING,
    authOptions=_object("mode", mode={"enum": ["disabled", "token"]}, secretName=_STRING),
    enableInTreeAutoscaling=_BOOLEAN,
    autoscalerOptions=_object(
        idleTimeoutSeconds=_COUNT,
        upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
        resources=_RESOURCES,
    ),
    headGroupSpec=_object("rayStartParams template", rayStartParams=_STRINGS, template=_TEMPLATE),
    workerGroupSpecs=_list(
        _object(
            "groupName minReplicas maxReplicas rayStartParams template",
            groupName=_STRING,
            replicas=_COUNT,
            minReplicas=_COUNT,
            maxReplicas=_COUNT,
            rayStartParams=_STRINGS,
            template=_TEMPLATE,
        )
    ),
)
_JOB = _object(
    "entrypoint rayClusterSpec",
    entrypoint=_STRING,
    backoffLimit=_COUNT,
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
    submitterConfig=_object(backoffLimit=_COUNT),
    shutdownAfterJobFinishes=_BOOLEAN,
    ttlSecondsAfterFinished=_COUNT,
    activeDeadlineSeconds=_COUNT,
    runtimeEnvYAML=_STRING,
    rayClusterSpec=_CLUSTER,
)
SCHEMAS = {
    "raycluster.yaml": ("ray.io/v1", "RayCluster", _object("apiVersion kind metadata spec", spec=_CLUSTER)),
    "rayjob.yaml": ("ray.io/v1", "RayJob", _object("apiVersion kind metadata spec", spec=_JOB)),
    "environment.yaml": ("v1", "ConfigMap", _object("apiVersion kind metadata data", data=_STRINGS)),
}
for _, _, schema in SCHEMAS.values():
    schema["properties"] |= {"apiVersion": _STRING, "kind": _STRING, "metadata": _METADATA}


def _clusters() -> dict[str, dict[str, Any]]:
    return {
        "raycluster.yaml": read_yaml(INFRA / "kuberay" / "raycluster.yaml")["spec"],
        "rayjob.yaml": read_yaml(INFRA / "kuberay" / "rayjob.yaml")["spec"]["rayClusterSpec"],
    }


CLUSTERS = pytest.mark.parametrize("cluster", _clusters().values(), ids=_clusters())


def _pods(cluster: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield cluster["headGroupSpec"]["template"]["spec"]
    for group in cluster["workerGroupSpecs"]:
        yield group["template"]["spec"]


def test_every_file_is_checked() -> None:
    assert {path.name for path in (INFRA / "kuberay").iterdir()} == set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_fields_are_those_of_the_api(name: str) -> None:
    api, kind, schema = SCHEMAS[name]
    content = read_yaml(INFRA / "kuberay" / name)
    assert (content["apiVersion"], content["kind"]) == (api, kind)
    jsonschema.validate(content, schema)


@CLUSTERS
def test_volumes_and_groups_fit_together(cluster: dict[str, Any]) -> None:
    for pod in _pods(cluster):
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            mounts = [mount["name"] for mount in container["volumeMounts"]]
            assert set(mounts) == volumes
            # Loader processes and Ray's object store share memory: the default of 64 MiB is too little.
            assert any(mount["mountPath"] == "/dev/shm" for mount in container["volumeMounts"])
    for group in cluster["workerGroupSpecs"]:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]


@CLUSTERS
def test_gpu_workers_may_stand_on_spot_nodes_and_have_time_to_leave(cluster: dict[str, Any]) -> None:
    for group in cluster["workerGroupSpecs"]:
        pod = group["template"]["spec"]
        limits = pod["containers"][0]["resources"]
        assert limits["limits"]["nvidia.com/gpu"] == limits["requests"]["nvidia.com/gpu"]
        tolerated = {toleration["key"] for toleration in pod["tolerations"]}
        assert {"nvidia.com/gpu", *pod["nodeSelector"]} <= tolerated
        # Whole nodes: gradients go by NVLink, and by the pods' own interface between nodes.
        assert limits["limits"]["nvidia.com/gpu"] == "8"
        # A spot notice is of two minutes at most: all of them, for the checkpoint that is under way and the last one.
        assert pod["terminationGracePeriodSeconds"] >= 120


@CLUSTERS
def test_the_cluster_asks_for_a_token_and_holds_no_secret(cluster: dict[str, Any]) -> None:
    assert cluster["authOptions"] == {"mode": "token", "secretName": "sgenet-ray"}
    for pod in _pods(cluster):
        for container in pod["containers"]:
            assert {"secretRef": {"name": "sgenet-s3"}} in container["envFrom"]
            assert {"configMapRef": {"name": "sgenet-environment"}} in container["envFrom"]
            assert "env" not in container
        assert pod["securityContext"]["runAsNonRoot"] is True


@CLUSTERS
def test_ray_is_the_version_of_the_lock(cluster: dict[str, Any]) -> None:
    assert cluster["rayVersion"] == version("ray")


def test_nccl_and_gloo_are_told_their_interface() -> None:
    told = read_yaml(INFRA / "kuberay" / "environment.yaml")["data"]
    assert told["NCCL_SOCKET_IFNAME"] == told["GLOO_SOCKET_IFNAME"]


def test_configuration_is_no_place_for_secrets() -> None:
    data = read_yaml(INFRA / "kuberay" / "environment.yaml")["data"]
    assert not [name for name in data if re.search("SECRET|TOKEN|PASSWORD|ACCESS_KEY", name)]


def test_a_lost_cluster_is_made_again() -> None:
    spec = read_yaml(INFRA / "kuberay" / "rayjob.yaml")["spec"]
    assert spec["backoffLimit"] >= 1
    assert spec["shutdownAfterJobFinishes"] is True
    assert set(yaml.safe_load(spec["runtimeEnvYAML"])) <= {"env_vars", "working_dir", "pip", "excludes"}


def test_a_job_is_told_where_its_data_are() -> None:
    entrypoint = read_yaml(INFRA / "kuberay" / "rayjob.yaml")["spec"]["entrypoint"]
    dataset = re.search(r"--dataset (\S+)", entrypoint)
    assert dataset is not None
    note = DatasetPaths(dataset[1]).published
    assert f"cp /etc/sgenet/{note.name} {note.parent}/ &&" in entrypoint
    assert f"--from-file={note}" in (INFRA.parent / "docs" / "cluster-guide.md").read_text()


def test_a_job_has_as_many_workers_as_its_batch_can_be_divided_among() -> None:
    spec = read_yaml(INFRA / "kuberay" / "rayjob.yaml")["spec"]
    dataset = re.search(r"--dataset (\S+)", spec["entrypoint"])
    assert dataset is not None
    recipe = settings_of_every_dataset().recipes[dataset[1]]
    workers = 0
    for group in spec["rayClusterSpec"]["workerGroupSpecs"]:
        requests = group["template"]["spec"]["containers"][0]["resources"]["requests"]
        workers += group["replicas"] * int(requests["nvidia.com/gpu"])
    assert recipe.training.batch_size % workers == 0
