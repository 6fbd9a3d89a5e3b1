"""Connecting to the Ray cluster that ``RAY_ADDRESS`` names, or one sentence on why that cannot be."""

from __future__ import annotations

import logging
import os
import re
import socket
from typing import Any

import grpc
import ray
from ray._private.grpc_utils import init_grpc_channel
from ray._private.services import find_bootstrap_address
from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc
from ray.exceptions import AuthenticationError, RayError

from sgenet.errors import UserError, first_line

_SECONDS_TO_ANSWER = 10.0
_CLIENT = "ray://"
_FAILURES = (OSError, RuntimeError, ValueError, RayError, grpc.RpcError)
_HOST_AND_PORT = re.compile(r"([\w.-]+|\[[\da-fA-F:]+\]):(\d{1,5})")


def connect_to_cluster() -> None:
    """Connect this process to the cluster that ``RAY_ADDRESS`` names.

    Raises:
        UserError: as for :func:`ask_cluster`.
    """
    ask_cluster()
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    except _FAILURES as error:
        ray.shutdown()
        raise _explained(os.environ["RAY_ADDRESS"], error) from error


def ask_cluster() -> None:
    """Ask whether a cluster is where ``RAY_ADDRESS`` says, without joining it.

    Ray itself waits for minutes, or indefinitely, where nothing or another service answers.

    Raises:
        UserError: it is no address of a cluster, no cluster answers there, or it asks for a token.
    """
    given = os.environ["RAY_ADDRESS"]
    try:
        if given.startswith(_CLIENT):
            host, _, port = given.removeprefix(_CLIENT).rpartition(":")
            socket.create_connection((host, int(port)), _SECONDS_TO_ANSWER).close()
        else:
            _ask_head(_address_of_head(given))
    except _FAILURES as error:
        raise _explained(given, error) from error


def _address_of_head(given: str) -> str:
    if given.startswith(("http://", "https://")):
        raise UserError(
            f"RAY_ADDRESS={given} is a dashboard, which takes jobs (`ray job submit`); set it to HOST:6379, "
            "the head's own address, or unset it to work on this machine"
        )
    address: str | None = given
    if given in ("auto", "local"):
        # What was started last with `ray start`. Ray itself also takes the cluster of another program's training.
        address = find_bootstrap_address(None) if given == "auto" else None
    if address is None:
        raise UserError(
            f"RAY_ADDRESS={given} names no cluster, and none was started here with `ray start`; set it to HOST:PORT of "
            "a cluster's head, or unset it to work on this machine"
        )
    if _HOST_AND_PORT.fullmatch(address) is None:
        raise UserError(
            f"RAY_ADDRESS={given} is no address; set it to HOST:PORT of a cluster's head, or unset it to work on this "
            "machine"
        )
    return address


def _ask_head(address: str) -> None:
    """Ask the head whether it is one."""
    # What the compiler of gRPC writes has no types.
    messages: Any = gcs_service_pb2
    services: Any = gcs_service_pb2_grpc
    with init_grpc_channel(address) as channel:
        services.NodeInfoGcsServiceStub(channel).CheckAlive(messages.CheckAliveRequest(), timeout=_SECONDS_TO_ANSWER)


def _explained(given: str, error: Exception) -> UserError:
    code = error.code() if isinstance(error, grpc.Call) else None
    refused = isinstance(error, AuthenticationError) or isinstance(error.__cause__, AuthenticationError)
    if refused or code is grpc.StatusCode.UNAUTHENTICATED:
        return UserError(
            f"the Ray cluster at RAY_ADDRESS={given} asks for a token; set RAY_AUTH_MODE=token, and "
            "RAY_AUTH_TOKEN where ~/.ray/auth_token is not the cluster's"
        )
    reason: Any = error.details() if isinstance(error, grpc.Call) else error
    return UserError(
        f"no Ray cluster answers at RAY_ADDRESS={given} ({first_line(reason)}); start it, or correct or unset "
        "RAY_ADDRESS to work on this machine"
    )
