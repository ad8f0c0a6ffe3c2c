"""Bytes, listings and errors on a local disk, on moto's S3 server and, slowly, on a real Ceph."""

import subprocess
import sys
import time
from pathlib import Path

import boto3
import moto.s3.models
import moto.settings
import pyarrow as pa
import pytest

from medray import storage
from medray.errors import StorageError

WRITER = """
import sys
from medray import storage
while True:
    for letter in (b"A", b"B"):
        storage.write_bytes(sys.argv[1], letter * 20_000_000)
"""


def test_what_is_written_is_read_back_whole_and_in_ranges(folder):
    uri = storage.join(folder, "a", "b.bin")
    storage.write_bytes(uri, bytes(range(256)))
    assert storage.read_bytes(uri) == bytes(range(256))
    assert storage.read_bytes(uri, 10, 3) == b"\x0a\x0b\x0c"
    assert storage.read_bytes(uri, 250, 100) == bytes(range(250, 256))
    assert storage.read_bytes(uri, 255) == b"\xff"


def test_a_range_of_nothing_is_empty_and_no_error(folder):
    uri = storage.join(folder, "empty")
    storage.write_bytes(uri, b"")
    assert storage.read_bytes(uri) == storage.read_bytes(uri, 0, 100) == b""
    storage.write_bytes(uri, b"12")
    assert storage.read_bytes(uri, 2, 5) == storage.read_bytes(uri, 7) == storage.read_bytes(uri, 1, 0) == b""


def test_a_listing_has_every_object_once_in_a_stable_order(folder):
    names = ["b/2.dcm", "a.dcm", "b/10.dcm", "B/1", "c d+e%20#?ü/x.png", "no_extension"]
    for name in names:
        storage.write_bytes(storage.join(folder, name), name.encode())
    found = list(storage.list_objects(folder))
    assert {item.path: item.size for item in found} == {name: len(name.encode()) for name in names}
    assert found == list(storage.list_objects(folder + "/"))
    assert [storage.read_bytes(item.uri) for item in found] == [item.path.encode() for item in found]


def _put_1500(bucket, names):
    """On moto past HTTP, which takes 20 s there."""
    if bucket.name == "medray-tests":
        backend = moto.s3.models.s3_backends["123456789012"]["aws"]
        for name in names:
            backend.put_object(bucket.name, name, b"x")
    else:
        client = boto3.Session().client("s3")
        for name in names:
            client.put_object(Bucket=bucket.name, Key=name, Body=b"x")


def test_a_listing_of_1500_objects_goes_over_pages(bucket):
    names = [f"pages/{number:05d}" for number in range(1500)]
    _put_1500(bucket, names)
    found = [item.path for item in storage.list_objects(f"{bucket.uri}/pages")]
    assert found == [name.removeprefix("pages/") for name in names]


def test_a_prefix_is_a_folder_not_the_start_of_a_name(folder):
    for name in ("scan/1", "scans/2", "scan/scan/3"):
        storage.write_bytes(storage.join(folder, name), b"x")
    assert [item.path for item in storage.list_objects(storage.join(folder, "scan"))] == ["1", "scan/3"]


def test_the_uri_of_one_object_lists_that_object(folder):
    uri = storage.join(folder, "shard.tar")
    storage.write_bytes(uri, b"12345")
    (found,) = storage.list_objects(uri)
    assert (found.path, found.size, storage.read_bytes(found.uri)) == ("shard.tar", 5, b"12345")


def test_an_entity_tag_changes_with_the_bytes(folder):
    uri = storage.join(folder, "x")
    storage.write_bytes(uri, b"1")
    (before,) = storage.list_objects(folder)
    storage.write_bytes(uri, b"2")
    (after,) = storage.list_objects(folder)
    assert before.etag and before.etag != after.etag


def test_names_delete_and_exists_see_the_same_folder(folder):
    for name in ("p/1", "p/2", "q"):
        storage.write_bytes(storage.join(folder, name), b"x")
    assert storage.names(folder) == ["p", "q"]
    storage.delete(storage.join(folder, "p"))
    storage.delete(storage.join(folder, "never_there"))
    assert storage.names(folder) == ["q"]
    assert [storage.exists(storage.join(folder, name)) for name in ("p", "q")] == [False, True]
    assert storage.names(storage.join(folder, "never_there")) == []


def test_json_and_parquet_come_back_equal(folder):
    storage.write_json(storage.join(folder, "x.json"), {"b": 1, "a": [None, "ü"]})
    assert storage.read_json(storage.join(folder, "x.json")) == {"b": 1, "a": [None, "ü"]}
    table = pa.table({"n": [1, 2, 3], "s": ["a", None, "c"]})
    size = storage.write_parquet(storage.join(folder, "x.parquet"), table)
    assert storage.read_parquet(storage.join(folder, "x.parquet")).equals(table)
    assert storage.read_parquet(storage.join(folder, "x.parquet"), ["s"]).column_names == ["s"]
    assert size == len(storage.read_bytes(storage.join(folder, "x.parquet")))


@pytest.mark.parametrize("read", [storage.read_json, storage.read_parquet])
def test_a_file_of_another_format_is_one_clear_line(folder, read):
    uri = storage.join(folder, "x")
    storage.write_bytes(uri, b"{ this is neither")
    with pytest.raises(StorageError, match=r"is no (JSON|Parquet) file"):
        read(uri)


def test_pyarrow_reads_the_same_store(folder):
    storage.write_bytes(storage.join(folder, "x"), b"abc")
    arrow, path = storage.arrow_filesystem(storage.join(folder, "x"))
    with arrow.open_input_file(path) as file:
        assert file.read() == b"abc"


@pytest.mark.parametrize("store", ["disk", pytest.param("ceph_bucket", marks=pytest.mark.slow)])
def test_a_killed_writer_leaves_the_old_bytes_or_the_new_ones(request, tmp_path, store):
    uri = str(tmp_path / "x") if store == "disk" else f"{request.getfixturevalue(store).uri}/x"
    for wait_s in (0.005, 0.05, 0.13):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, uri])
        deadline = time.monotonic() + 30
        while not storage.exists(uri) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(wait_s)
        writer.kill()
        writer.wait()
        data = storage.read_bytes(uri)
        assert len(data) == 20_000_000 and data[:1] * len(data) == data
        storage.delete(uri)


def test_links_are_followed_once_and_broken_ones_are_no_objects(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1").write_bytes(b"1")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    assert [item.path for item in storage.list_objects(str(tmp_path))] == ["a/1", "b/1"]


def test_a_forked_process_reads_with_a_client_of_its_own(moto_server):
    uri = f"{moto_server.uri}/forked"
    storage.write_bytes(uri, b"abc")
    code = f"import os; from medray import storage; storage.read_bytes({uri!r}); pid = os.fork()\n"
    code += f"assert storage.read_bytes({uri!r}) == b'abc'\nif not pid: os._exit(0)\nassert os.waitpid(pid, 0)[1] == 0"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_paths_and_file_uris_mean_the_same_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage.write_bytes("x", b"abc")
    assert storage.read_bytes(f"file://{tmp_path}/x") == storage.read_bytes(str(tmp_path / "x")) == b"abc"
    assert storage.absolute("x/") == str(Path(tmp_path, "x"))
    assert storage.absolute("s3://bucket/x/") == "s3://bucket/x"
