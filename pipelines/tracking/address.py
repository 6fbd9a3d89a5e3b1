"""Where runs are tracked: a server named by the environment, or a file in the repository."""

from __future__ import annotations

import fcntl
import http.client
import logging
import os
import re
import socket
import sqlite3
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sgenet.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_FOLDER = "mlflow"
_FILE = "mlflow.db"
_SQLITE = "sqlite:///"
_SERVERS = ("http://", "https://")
_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_SECONDS_TO_ANSWER = 10.0
_REFUSED = (401, 403)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY)


class TrackingError(UserError):
    """The tracking store cannot be reached, or does not hold what it should."""


def tracking_uri() -> str:
    """The address of the tracking store.

    ``MLFLOW_TRACKING_URI`` where it is set; otherwise the SQLite file ``mlflow/mlflow.db`` below
    the repository's root, which is the working folder of every command. An experiment of DVC that runs in a
    temporary copy (``dvc exp run --temp``, ``dvc queue``) has the store of the repository it was started in.
    """
    return os.environ.get("MLFLOW_TRACKING_URI", "").strip() or f"{_SQLITE}{_embedded_store()}"


def open_client(address: str | None = None) -> MlflowClient:
    """The client of a tracking store, which from now on is the store of all of MLflow in this process.

    Every use of MLflow begins here: what loads, downloads or logs models by ``models:/`` and ``runs:/`` addresses
    asks the store of the process, whatever address it is given.

    Args:
        address: of the store; by default what :func:`tracking_uri` says.

    Raises:
        TrackingError: it is no address of a store.
    """
    # MLflow takes seconds to import.
    import mlflow

    # It logs a failure of the database with two tracebacks, and then raises it.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    address = address or tracking_uri()
    if not address.startswith(_SERVERS):
        # A server may be away for a moment, which MLflow bears with.
        check_reachable(address)
    if address.startswith(_SQLITE):
        Path(address.removeprefix(_SQLITE)).parent.mkdir(parents=True, exist_ok=True)
    mlflow.set_tracking_uri(address)
    mlflow.set_registry_uri(address)
    # MLflow makes the tables of a fresh file when its client is made.
    with one_at_a_time(address):
        return mlflow.MlflowClient(address, address)


def store_exists() -> bool:
    """Whether there is a tracking store to ask: a configured one, or the embedded one, which is not made by asking."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI", "").strip()) or _embedded_store().is_file()


def may_hold_alias(alias: str) -> bool:
    """Whether it is worth asking the store for models with an alias: False when it certainly has none.

    Looks without MLflow, which takes seconds to import.
    """
    if os.environ.get("MLFLOW_TRACKING_URI", "").strip() or not store_exists():
        return store_exists()
    try:
        with closing(sqlite3.connect(f"{_embedded_store().as_uri()}?mode=ro", uri=True, timeout=5)) as store:
            query = "SELECT 1 FROM registered_model_aliases WHERE alias = ? LIMIT 1"
            return store.execute(query, (alias,)).fetchone() is not None
    except sqlite3.Error:
        # Written by another version of MLflow, or busy: MLflow knows.
        return True


def _embedded_store() -> Path:
    return _repository() / _FOLDER / _FILE


def _repository() -> Path:
    # Set for the commands of a stage; in a temporary copy it names the original.
    return Path(os.environ.get("DVC_ROOT", "")).resolve()


def artifact_root(address: str) -> Path | None:
    """The folder for artifacts: beside an SQLite file, ``artifacts``; None where the server decides."""
    if not address.startswith(_SQLITE):
        return None
    return Path(address.removeprefix(_SQLITE)).resolve().parent / "artifacts"


@contextmanager
def store_errors(failed: str, address: str | None = None) -> Iterator[None]:
    """Raise what MLflow raises as a :class:`TrackingError`.

    Args:
        failed: what could not be done, such as "the run cannot be opened".
        address: of the store; by default what :func:`tracking_uri` says.
    """
    import requests
    from mlflow.exceptions import MlflowException

    address = address or tracking_uri()
    shown = without_secrets(address)
    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        from sqlalchemy.exc import DBAPIError

        # MLflow's own message has the statement and its values around what the database said.
        fault = error.__cause__.orig if isinstance(error.__cause__, DBAPIError) else error
        reason = str(fault).replace(address, shown).split("\n", 1)[0].split(". ", 1)[0]
        remedy = "check MLFLOW_TRACKING_URI and that its server is running"
        if isinstance(fault, sqlite3.Error):
            remedy = "check that the file exists, that it and its folder are writable, and that the disk is not full"
        if isinstance(error, MlflowException) and error.get_http_status_code() in _REFUSED:  # type: ignore[no-untyped-call]
            remedy = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to an account with this permission"
        raise TrackingError(
            f"{failed}: the tracking store {shown} cannot be used ({reason}); {remedy}, and run the same command again"
        ) from error


@contextmanager
def one_at_a_time(address: str | None = None) -> Iterator[None]:
    """Hold the lock beside an SQLite store; two processes that both create its tables would spoil it.

    A server does its own locking: nothing is held for other addresses.
    """
    address = address or tracking_uri()
    if not address.startswith(_SQLITE):
        yield
        return
    path = Path(address.removeprefix(_SQLITE)).resolve()
    with ExitStack() as stack:
        # In a folder that cannot be written to, nothing can be spoilt.
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(path.with_name(path.name + ".lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def without_secrets(address: str) -> str:
    """An address fit for files and logs: no user or password, and no folder of this machine.

    The SQLite file of the repository becomes ``sqlite:///mlflow/mlflow.db``.
    """
    here = f"{_SQLITE}{_repository()}/"
    if address.startswith(here):
        return _SQLITE + address.removeprefix(here)
    return re.sub(r"(?<=://)[^/]*@", "", address.split("?", 1)[0])


def check_reachable(address: str, *, must_exist: bool = False, to_write: bool = False) -> None:
    """Fail at once where there is no tracking store; MLflow itself would retry for minutes, or make an empty one.

    Args:
        must_exist: also where the address is that of an SQLite file that is not there yet: for whoever only reads.
        to_write: also where it is that of an SQLite file that cannot be written to.

    Raises:
        TrackingError: nothing answers at the address, or it is none of a tracking store.
    """
    if address.startswith(_SQLITE):
        _check_file(Path(address.removeprefix(_SQLITE)), must_exist, to_write)
    elif address.startswith(_SERVERS):
        _check_server(address)
    elif (kind := re.match(r"(\w+)(\+\w+)?://", address)) and kind[1] in _DATABASE_PORTS:
        _check_database(address, _DATABASE_PORTS[kind[1]])
    else:
        raise TrackingError(
            f"MLFLOW_TRACKING_URI ({without_secrets(address)}) is no address of a tracking store; set it to "
            "sqlite:///FILE or to the http:// or https:// address of a server, or unset it"
        )


def _check_file(path: Path, must_exist: bool, to_write: bool) -> None:
    shown = without_secrets(f"{_SQLITE}{path}")
    if path.is_file():
        # SQLite writes its journal beside the file.
        if to_write and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
            raise TrackingError(
                f"the tracking store {shown} cannot be written to; correct its permissions, or name another one by "
                "MLFLOW_TRACKING_URI"
            )
        problem = _file_problem(path)
    elif path.exists():
        problem = "is not a file"
    else:
        problem = "does not exist; a training creates it" if must_exist else ""
    if problem:
        configured = os.environ.get("MLFLOW_TRACKING_URI", "").strip()
        remedy = "correct or unset MLFLOW_TRACKING_URI" if configured else "run this in the folder of params.yaml"
        raise TrackingError(f"the tracking store {shown} {problem}; {remedy}")


def _file_problem(path: Path) -> str:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as store:
            tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except sqlite3.OperationalError as error:
        # Being written to, or its writer was killed and MLflow will roll its last transaction back: a store.
        return "" if error.sqlite_errorcode & 0xFF in _BUSY else f"cannot be read ({error})"
    except sqlite3.DatabaseError:
        return "is no SQLite database"
    # None in a store that is being made.
    return "holds another program's tables" if tables and "experiments" not in tables else ""


def _check_database(address: str, default_port: int) -> None:
    try:
        parts = urllib.parse.urlsplit(address)
        with socket.create_connection((parts.hostname or "", parts.port or default_port), _SECONDS_TO_ANSWER):
            pass
    except (OSError, ValueError) as error:
        raise TrackingError(
            f"no database answers at {without_secrets(address)} ({error}); start it, or correct or unset "
            "MLFLOW_TRACKING_URI"
        ) from error


def _check_server(address: str) -> None:
    parts = urllib.parse.urlsplit(address)
    # Without the login, which urllib takes in no address: a refusal is an answer too.
    host, path = parts.netloc.rpartition("@")[2], f"{parts.path.rstrip('/')}/health"
    health = urllib.parse.urlunsplit((parts.scheme, host, path, "", ""))
    try:
        with urllib.request.urlopen(health, timeout=_SECONDS_TO_ANSWER):
            pass
    except urllib.error.HTTPError:
        return
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, ssl.SSLError):
            return  # an unknown certificate, which MLflow may be told to accept
        raise TrackingError(
            f"no tracking server answers at {without_secrets(address)} ({reason}); "
            "start it, or correct or unset MLFLOW_TRACKING_URI"
        ) from error
