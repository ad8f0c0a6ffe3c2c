"""What a store refuses is one clear line with a cure and no secret; on disk, on moto and, slowly, on a real Ceph."""

import errno
import multiprocessing
import os
import resource
import time

import boto3
import moto.settings
import pytest

from medray import storage
from medray.errors import AccessDeniedError, NotFoundError, StorageError


def test_a_missing_object_and_a_missing_folder_are_named(folder):
    storage.write_bytes(storage.join(folder, "x"), b"")
    for act in (storage.read_bytes, lambda uri: list(storage.list_objects(uri))):
        with pytest.raises(NotFoundError, match="missing does not exist"):
            act(storage.join(folder, "missing"))


def test_a_missing_bucket_is_not_found_at_once(bucket):
    started = time.monotonic()
    for act in (
        storage.read_bytes,
        lambda uri: list(storage.list_objects(uri)),
        lambda uri: storage.write_bytes(uri, b""),
    ):
        with pytest.raises(NotFoundError, match="s3://medray-no-such-bucket/x does not exist"):
            act("s3://medray-no-such-bucket/x")
    assert time.monotonic() - started < 5


def test_an_empty_bucket_lists_nothing(moto_server):
    boto3.Session().client("s3").create_bucket(Bucket="medray-empty")
    assert list(storage.list_objects("s3://medray-empty")) == []


@pytest.mark.parametrize("uri", ["s3://", "s3:///", "gopher://x/y"])
def test_a_uri_that_cannot_be_a_store_is_refused(uri):
    with pytest.raises(StorageError, match=r"names no bucket|is no storage that medray can read"):
        list(storage.list_objects(uri))


def _refused(uri):
    """The messages with which a store refuses to list, read and write."""
    for act in (
        storage.read_bytes,
        lambda at: list(storage.list_objects(at)),
        lambda at: storage.write_bytes(at, b"x"),
    ):
        with pytest.raises(AccessDeniedError) as caught:
            act(uri)
        yield f"{caught.value} {caught.value.__cause__}"


def test_unknown_credentials_are_access_denied(moto_server, monkeypatch, fresh_client):
    monkeypatch.setattr(moto.settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)
    messages = list(_refused(f"{moto_server.uri}/x"))
    assert all("Check the credentials" in message for message in messages)
    assert not any("moto-access-key" in message or moto_server.secret in message for message in messages)


@pytest.mark.slow
def test_a_wrong_secret_is_access_denied_and_never_printed(ceph_bucket, monkeypatch, fresh_client):
    wrong = "wrong-secret-0123456789"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", wrong)
    messages = list(_refused(f"{ceph_bucket.uri}/x"))
    assert all("Check the credentials" in message for message in messages)
    assert not any(wrong in message or os.environ["AWS_ACCESS_KEY_ID"] in message for message in messages)


def test_no_credentials_at_all_are_access_denied(moto_server, monkeypatch, fresh_client, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(AccessDeniedError, match="Check the credentials"):
        storage.read_bytes(f"{moto_server.uri}/x")


def test_an_endpoint_that_does_not_answer_ends_within_seconds(moto_server, monkeypatch, fresh_client):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    started = time.monotonic()
    with pytest.raises(StorageError, match="Check the network and AWS_ENDPOINT_URL") as caught:
        list(storage.list_objects(f"{moto_server.uri}/x"))
    assert time.monotonic() - started < 20
    assert "\n" not in str(caught.value) and moto_server.secret not in str(caught.value)


def _write_too_much(uri, results):
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        storage.write_bytes(uri, b"x" * 100_000)
    except StorageError as error:
        results.put(str(error))


def test_a_disk_that_takes_no_more_is_one_clear_line_and_the_old_bytes_stay(tmp_path):
    uri = str(tmp_path / "x")
    storage.write_bytes(uri, b"old")
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    writer = context.Process(target=_write_too_much, args=(uri, results))
    writer.start()
    message = results.get(timeout=60)
    writer.join()
    assert message.startswith(f"No space is left to write {uri}") and message.endswith("another output.")
    assert storage.read_bytes(uri) == b"old" and os.listdir(tmp_path) == ["x"]


def test_a_full_disk_found_at_the_last_moment_leaves_no_partial_file(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space is left"):
        storage.write_bytes(str(tmp_path / "x"), b"abc")
    assert os.listdir(tmp_path) == []


def test_an_output_below_a_file_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="Check the path and the disk"):
        storage.write_bytes(str(tmp_path / "file" / "x"), b"")
