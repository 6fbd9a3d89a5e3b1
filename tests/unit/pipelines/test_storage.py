from __future__ import annotations

import errno
import hashlib
import os
import pickle
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipelines.storage.store import Entry, MissingFileError, Storage, join, open_storage
from sgenet.errors import DataError


@pytest.fixture(params=["local", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """The same tests for both kinds: what one promises, the other does."""
    if request.param == "local":
        return open_storage(str(tmp_path / "store"))
    return open_storage(f"s3://{request.getfixturevalue('s3_bucket')}/some/prefix")


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_list_is_recursive_sorted_and_relative_to_the_root(storage: Storage) -> None:
    for path in ("b/2.txt", "b/10.txt", "a.txt", "b/c/été 1.txt", "bb/x"):
        storage.write(path, path.encode())
    assert [entry.path for entry in storage.list()] == ["a.txt", "b/10.txt", "b/2.txt", "b/c/été 1.txt", "bb/x"]
    # A prefix is a folder: `bb` is not in `b`.
    assert storage.list("b") == [Entry("b/10.txt", 8), Entry("b/2.txt", 7), Entry("b/c/été 1.txt", 15)]
    assert storage.list("missing") == []


def test_read_range_returns_exactly_the_bytes_asked_for(storage: Storage) -> None:
    storage.write("x", bytes(range(100)))
    assert storage.read_range("x", 10, 5) == bytes([10, 11, 12, 13, 14])
    assert storage.read_range("x", 99, 1) == bytes([99])
    assert storage.read_range("x", 50, 0) == b""


def test_read_range_refuses_to_return_fewer_bytes(storage: Storage) -> None:
    storage.write("x", bytes(100))
    with pytest.raises(DataError, match=r"x ends before byte 105"):
        storage.read_range("x", 95, 10)


def test_upload_and_download_copy_a_file(storage: Storage, tmp_path: Path) -> None:
    content = os.urandom(9 * 2**20)  # above the threshold for parts
    (tmp_path / "from").write_bytes(content)
    storage.upload(tmp_path / "from", "deep/er/file")
    storage.download("deep/er/file", tmp_path / "new" / "to")
    assert (tmp_path / "new" / "to").read_bytes() == content


def test_a_written_file_comes_back_replaces_the_old_one_and_can_be_deleted_twice(storage: Storage) -> None:
    for content in (b"old", b"\x00\xff" * 1000):
        storage.write("x", content)
        assert storage.read("x") == content
    storage.delete("x")
    storage.delete("x")
    assert not storage.exists("x")


def test_a_missing_file_is_named(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=f"{storage.address}/no/file does not exist"):
        storage.read("no/file")
    with pytest.raises(MissingFileError, match="does not exist"):
        storage.download("no/file", tmp_path / "x")
    assert not (tmp_path / "x").exists()
    with pytest.raises(MissingFileError, match="nothing-here does not exist"):
        storage.upload(tmp_path / "nothing-here", "x")
    assert storage.list() == []


def test_a_path_cannot_leave_the_storage(storage: Storage) -> None:
    for path in ("../secret", "a/../../secret", "/etc/hosts"):
        with pytest.raises(DataError, match="leaves its storage"):
            storage.read(path)


def test_a_storage_can_be_sent_to_another_process(storage: Storage) -> None:
    storage.write("x", b"1")
    assert pickle.loads(pickle.dumps(storage)).read("x") == b"1"


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = open_storage(str(tmp_path))
    storage.write("x", b"old")

    def full_disk(path: Path, data: bytes) -> None:
        with path.open("wb") as file:
            file.write(data[:1])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(DataError, match="x could not be written: no space left on device"):
        storage.write("x", b"new")
    monkeypatch.undo()
    assert files_below(tmp_path) == ["x"]
    assert storage.read("x") == b"old"


def test_a_half_written_file_is_not_listed(tmp_path: Path) -> None:
    storage = open_storage(str(tmp_path))
    storage.write("x", b"1")
    (tmp_path / ".0123456789abcdef.partial").write_bytes(b"half")
    assert [entry.path for entry in storage.list()] == ["x"]


def test_a_pipe_is_not_listed_since_reading_it_would_wait_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    storage = open_storage(str(tmp_path))
    storage.write("x", b"1")
    assert [entry.path for entry in storage.list()] == ["x"]


def test_symlink_loops_end(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "x.png").write_bytes(b"1")
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a" / "self")
    (tmp_path / "a" / "b" / "root").symlink_to("/")
    found = [entry.path for entry in open_storage(str(tmp_path)).list("a")]
    # The link to itself is reported as a file, so that reading it says what is wrong.
    assert found == ["a/self", "a/x.png"]
    with pytest.raises(DataError, match="symbolic links"):
        open_storage(str(tmp_path)).read("a/self")


def test_a_link_to_a_folder_elsewhere_is_followed_and_never_takes_over_real_files(tmp_path: Path) -> None:
    (tmp_path / "root" / "real").mkdir(parents=True)
    (tmp_path / "root" / "real" / "1.png").write_bytes(b"1")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "2.png").write_bytes(b"2")
    (tmp_path / "root" / "alias").symlink_to(tmp_path / "root" / "real")
    (tmp_path / "root" / "more").symlink_to(tmp_path / "elsewhere")
    assert [entry.path for entry in open_storage(str(tmp_path / "root")).list()] == ["more/2.png", "real/1.png"]


def test_a_relative_folder_is_that_of_the_working_directory_at_construction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage = open_storage("store")
    monkeypatch.chdir("/")
    storage.write("x", b"1")
    assert files_below(tmp_path) == ["store/x"]
    # Messages name the folder as it was given: they are kept in tables that are the same everywhere.
    with pytest.raises(MissingFileError, match=r"^store/y does not exist"):
        storage.read("y")


def test_s3_objects_carry_their_sha256(s3_bucket: str, tmp_path: Path) -> None:
    import boto3

    (tmp_path / "file").write_bytes(b"abc")
    open_storage(f"s3://{s3_bucket}").write("written", b"abc")
    open_storage(f"s3://{s3_bucket}").upload(tmp_path / "file", "uploaded")
    for key in ("written", "uploaded"):
        metadata = boto3.client("s3").head_object(Bucket=s3_bucket, Key=key)["Metadata"]
        assert metadata["sha256"] == hashlib.sha256(b"abc").hexdigest()


def test_a_damaged_s3_object_is_refused_and_not_downloaded(s3_bucket: str, tmp_path: Path) -> None:
    import boto3

    wrong = {"sha256": hashlib.sha256(b"what was sent").hexdigest()}
    boto3.client("s3").put_object(Bucket=s3_bucket, Key="x", Body=b"what arrived", Metadata=wrong)
    storage = open_storage(f"s3://{s3_bucket}")
    with pytest.raises(DataError, match="x is damaged"):
        storage.read("x")
    with pytest.raises(DataError, match="x is damaged"):
        storage.download("x", tmp_path / "copy")
    assert files_below(tmp_path) == []


def test_s3_lists_more_than_one_page(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")
    storage = open_storage(f"s3://{s3_bucket}/p")
    for number in range(5):
        storage.write(str(number), b"")
    assert [entry.path for entry in storage.list()] == ["0", "1", "2", "3", "4"]


def test_a_body_that_breaks_off_is_read_again(s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.exceptions import ResponseStreamingError
    from botocore.response import StreamingBody

    storage = open_storage(f"s3://{s3_bucket}")
    storage.write("x", b"whole")
    read, failures = StreamingBody.read, iter([True, True])

    def flaky(body: StreamingBody, amt: int | None = None) -> bytes:
        if next(failures, False):
            raise ResponseStreamingError(error="connection reset")
        data: bytes = read(body, amt)
        return data

    monkeypatch.setattr(StreamingBody, "read", flaky)
    assert storage.read("x") == b"whole"


def test_a_missing_bucket_is_said_so(s3_environment: None) -> None:
    with pytest.raises(DataError, match=r"s3://no-such-bucket/a could not be written: there is no such bucket"):
        open_storage("s3://no-such-bucket").write("a", b"")


def test_missing_credentials_are_said_so(s3_bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(DataError, match="there are no S3 credentials; set AWS_ACCESS_KEY_ID"):
        open_storage(f"s3://{s3_bucket}").read("x")


def test_a_dead_endpoint_is_said_so(s3_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(DataError, match=r"the S3 endpoint does not answer .*check AWS_ENDPOINT_URL"):
        open_storage("s3://bucket").list()


def test_an_endpoint_that_is_no_address_is_said_so(s3_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "minio:9000")
    with pytest.raises(DataError, match="the S3 endpoint is not usable"):
        open_storage("s3://bucket").list()


@pytest.mark.parametrize("address", ["gs://bucket/x", "s3://", "s3:///x"])
def test_an_address_of_another_kind_is_refused(address: str) -> None:
    with pytest.raises(DataError, match="is not a place for files"):
        open_storage(address)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("s3://bucket", "a", "b/c"), "s3://bucket/a/b/c"),
        (("s3://bucket/p/", "/a/"), "s3://bucket/p/a"),
        (("../x", ""), "../x"),
        (("/", "a"), "/a"),
        (("/",), "/"),
    ],
)
def test_join(parts: tuple[str, ...], expected: str) -> None:
    assert join(*parts) == expected


def test_local_files_need_no_boto3(tmp_path: Path) -> None:
    program = (
        "import sys; from pipelines.storage.store import open_storage;"
        f"open_storage({str(tmp_path)!r}).write('x', b'1'); sys.exit('boto3' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("ExpiredToken", "the credentials have expired (ExpiredToken); renew them and run the same command again"),
        ("RequestTimeTooSkewed", "the store finds this machine's clock wrong"),
    ],
)
def test_credentials_that_expire_and_a_clock_that_jumps_are_said(
    code: str, sentence: str, s3_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        with pytest.raises(DataError) as caught:
            open_storage("s3://bucket/prefix").read("a.bin")
        server.shutdown()
    assert sentence in str(caught.value)
