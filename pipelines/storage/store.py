"""Files in a local folder or under ``s3://bucket/prefix``, behind one small interface.

The only importer of boto3, and only once an ``s3://`` address is used. Any S3-compatible
endpoint works: botocore reads ``AWS_ENDPOINT_URL`` and the usual credential variables.
Whatever is written appears whole or not at all. Objects on S3 carry their SHA-256, which is
verified whenever one is read in full. A request that fails, or over whose connection nothing
comes for 30 seconds, is made again after a growing random pause; ``AWS_MAX_ATTEMPTS`` says how often.
"""

from __future__ import annotations

import hashlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipelines.storage.files import published
from pipelines.storage.local import (
    Entries,
    Entry,
    LocalStorage,
    MissingFileError,
    absolute,
    check_local,
    checked_path,
    explained,
    folder_prefix,
    join,
    whole_range,
)
from sgenet.errors import DataError

if TYPE_CHECKING:
    from botocore.client import BaseClient

__all__ = [
    "DamagedFileError",
    "Entry",
    "LocalStorage",
    "MissingFileError",
    "S3Storage",
    "Storage",
    "absolute",
    "join",
    "open_storage",
]

_BODY_ATTEMPTS = 5
_FIRST_PAUSE_SECONDS = 0.2
_CONNECT_SECONDS = 10
_MOST_CONNECTIONS = 32
# A connection over which nothing comes for so long is given up, and its request made again.
_SILENCE_SECONDS = 30
_NOT_FOUND = {"404", "NoSuchKey", "NotFound"}
_REFUSED = {"401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}


class DamagedFileError(DataError):
    """The file is not what was written."""


class Storage(Protocol):
    """A tree of files. Every path is relative to the root, with ``/``; folders come by themselves.

    A missing file raises MissingFileError; a missing permission, credential, bucket or endpoint
    its parent DataError; each in one sentence. Storages can be sent to other processes.
    """

    @property
    def address(self) -> str:
        """The root as it was given."""
        ...

    def list(self, prefix: str = "") -> Entries:
        """All files below the folder ``prefix``, at any depth, sorted by path; none where there is no folder."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        ...

    def read(self, path: str) -> bytes:
        """The whole file."""
        ...

    def read_range(self, path: str, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes from ``offset`` on."""
        ...

    def write(self, path: str, data: bytes) -> None:
        """Publish a file, replacing one of the same path."""
        ...

    def upload(self, local: Path, path: str, sha256: str | None = None) -> None:
        """Publish a copy of a local file, whose hash may be known already."""
        ...

    def download(self, path: str, local: Path) -> None:
        """Make a local copy of a file; ``local`` appears only when it is complete."""
        ...

    def delete(self, path: str) -> None:
        """Remove a file; removing one that is not there is no error."""
        ...


def open_storage(address: str) -> Storage:
    """The storage at a local folder or ``s3://bucket/prefix``; nothing is touched yet."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        return LocalStorage(address)
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise DataError(f"{address} is not a place for files; give a folder or s3://bucket/prefix")
    return S3Storage(address, bucket, prefix.strip("/"))


@dataclass(frozen=True)
class S3Storage:
    """The objects of a bucket below a prefix."""

    address: str
    bucket: str
    prefix: str
    _clients: dict[int, BaseClient] = field(default_factory=dict, init=False, repr=False, compare=False)
    _making: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)

    def __reduce__(self) -> tuple[Callable[[str], Storage], tuple[str]]:
        # Clients hold sockets and locks: each process makes its own.
        return open_storage, (self.address,)

    def list(self, prefix: str = "") -> Entries:
        """See :class:`Storage`; so for all methods."""
        start = len(folder_prefix(self.prefix))
        with _explained(join(self.address, prefix), "listed"):
            lister = self._client.get_paginator("list_objects_v2")
            pages = lister.paginate(Bucket=self.bucket, Prefix=folder_prefix(self._key(prefix)))
            objects = [item for page in pages for item in page.get("Contents", ())]
        # Consoles mark empty folders by objects whose key ends with a slash.
        entries = [Entry(item["Key"][start:], item["Size"]) for item in objects if not item["Key"].endswith("/")]
        return sorted(entries, key=lambda entry: entry.path)

    def exists(self, path: str) -> bool:
        """Whether there is such an object."""
        try:
            with _explained(join(self.address, path), "looked up"):
                self._client.head_object(Bucket=self.bucket, Key=self._key(path))
        except MissingFileError:
            return False
        return True

    def read(self, path: str) -> bytes:
        """The whole object, its SHA-256 verified."""
        name = join(self.address, path)
        with _explained(name, "read"):
            data, metadata = _fetch(self._client, Bucket=self.bucket, Key=self._key(path))
        _verify(metadata, hashlib.sha256(data).hexdigest(), name)
        return data

    def read_range(self, path: str, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes from ``offset`` on, in one ranged request."""
        if size == 0:
            return b""
        name, last = join(self.address, path), offset + size - 1
        with _explained(name, "read"):
            data, _ = _fetch(self._client, Bucket=self.bucket, Key=self._key(path), Range=f"bytes={offset}-{last}")
        return whole_range(data, name, offset, size)

    def write(self, path: str, data: bytes) -> None:
        """Put an object; S3 shows it only once it is complete."""
        metadata = {"sha256": hashlib.sha256(data).hexdigest()}
        with _explained(join(self.address, path), "written"):
            self._client.put_object(Bucket=self.bucket, Key=self._key(path), Body=data, Metadata=metadata)

    def upload(self, local: Path, path: str, sha256: str | None = None) -> None:
        """Put a local file, large ones in several parts at once."""
        check_local(local)
        with _explained(join(self.address, path), "written"), local.open("rb") as file:
            metadata = {"sha256": sha256 or hashlib.file_digest(file, "sha256").hexdigest()}
            file.seek(0)
            self._client.upload_fileobj(file, self.bucket, self._key(path), ExtraArgs={"Metadata": metadata})

    def download(self, path: str, local: Path) -> None:
        """Get an object as a local file, large ones in several parts at once, the SHA-256 verified."""
        name, key = join(self.address, path), self._key(path)
        with _explained(name, "copied"), published(local) as partial:
            metadata = self._client.head_object(Bucket=self.bucket, Key=key)["Metadata"]
            with partial.open("w+b") as file:
                self._client.download_fileobj(self.bucket, key, file)
                file.seek(0)
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            _verify(metadata, digest, name)

    def delete(self, path: str) -> None:
        """Remove an object, if it is there."""
        with _explained(join(self.address, path), "removed"):
            self._client.delete_object(Bucket=self.bucket, Key=self._key(path))

    def _key(self, path: str) -> str:
        return folder_prefix(self.prefix) + checked_path(path)

    @property
    def _client(self) -> BaseClient:
        # One a process: a client inherited through a fork would share its sockets with the parent.
        # Making one takes half a second of a core, which threads that start together would each spend.
        with self._making:
            if os.getpid() not in self._clients:
                self._clients[os.getpid()] = _new_client()
        return self._clients[os.getpid()]


def _new_client() -> BaseClient:
    import boto3
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": int(os.environ.get("AWS_MAX_ATTEMPTS", "8"))},
        connect_timeout=_CONNECT_SECONDS,
        max_pool_connections=_MOST_CONNECTIONS,
        read_timeout=_SILENCE_SECONDS,
        # Not every compatible store knows the newer checksum headers; ours travels as metadata.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        # A session of its own: boto3's shared one is not safe to use from several threads.
        return boto3.Session().client("s3", config=config)
    except ValueError as error:
        raise DataError(f"the S3 endpoint is not usable: {error}; set AWS_ENDPOINT_URL to http://host:port") from None


def _fetch(client: BaseClient, **wanted: str) -> tuple[bytes, dict[str, str]]:
    """An object's bytes and metadata. botocore retries requests, but not a body that breaks off."""
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    for attempt in range(_BODY_ATTEMPTS):
        answer = client.get_object(**wanted)
        try:
            return answer["Body"].read(), answer["Metadata"]
        except (HTTPClientError, IncompleteReadError):
            if attempt == _BODY_ATTEMPTS - 1:
                raise
            time.sleep(random.uniform(0, _FIRST_PAUSE_SECONDS * 2**attempt))
    raise AssertionError("unreachable")


@contextmanager
def _explained(name: str, done: str) -> Iterator[None]:
    """Turn what S3 and the file system raise into one sentence: ``name`` could not be ``done``."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        with explained(name, done):
            yield
    except ClientError as error:
        raise _refusal(error.response["Error"], name, done) from None
    except BotoCoreError as error:
        raise DataError(f"{name} could not be {done}: {_remedy(error)}") from None


def _refusal(answer: dict[str, str], name: str, done: str) -> DataError:
    code = answer.get("Code", "")
    if code in _NOT_FOUND:
        return MissingFileError(f"{name} does not exist; check the path")
    if code == "NoSuchBucket":
        reason = "there is no such bucket; create it or correct the address"
    elif code in _EXPIRED:
        reason = f"the credentials have expired ({code}); renew them and run the same command again"
    elif code == "RequestTimeTooSkewed":
        reason = f"the store finds this machine's clock wrong ({code}); set it and run the same command again"
    elif code in _REFUSED:
        reason = f"the store refuses these credentials ({code}); check AWS_ACCESS_KEY_ID and its permissions"
    else:
        reason = f"the store answered {code} ({answer.get('Message', '')}); check the address"
    return DataError(f"{name} could not be {done}: {reason}")


def _remedy(error: Exception) -> str:
    from botocore import exceptions

    match error:
        case exceptions.NoCredentialsError() | exceptions.PartialCredentialsError():
            return "there are no S3 credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile"
        case exceptions.ConnectionError() | exceptions.HTTPClientError():
            return f"the S3 endpoint does not answer ({error}); check AWS_ENDPOINT_URL and the network"
        case _:
            return f"{error}; check the address and the AWS_… variables"


def _verify(metadata: dict[str, str], digest: str, name: str) -> None:
    expected = metadata.get("sha256", digest)
    if digest != expected:
        raise DamagedFileError(f"{name} is damaged: its SHA-256 is {digest}, written as {expected}; upload it again")
