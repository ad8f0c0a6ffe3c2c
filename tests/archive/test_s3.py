"""The same rows and bytes from an object store, on moto's server; also through a proxy that answers wrongly."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from medray import storage
from medray.archive.fetching import read_objects
from medray.archive.objects import index_object
from medray.s3 import S3Store
from medray.settings import IndexSettings
from tests.archive.makers import KEY, dicom_bytes, image, index_folder, tar_bytes
from tests.archive.test_images import encoded
from tests.faulty_proxy import FaultyProxy

PLACES = {"uri", "etag", "member"}


def test_an_archive_on_s3_has_the_rows_and_bytes_of_a_folder(moto_server, tmp_path):
    contents = {
        "a/1.dcm": dicom_bytes(image()),
        "b.png": encoded("L", "PNG"),
        "shard.tar": tar_bytes({f"{n}.dcm": dicom_bytes(image(60, 60), SOPInstanceUID=f"1.{n}") for n in range(9)}),
    }
    root = f"{moto_server.uri}/archive-room"
    for name, content in contents.items():
        storage.write_bytes(str(tmp_path / name), content)
        storage.write_bytes(f"{root}/{name}", content)
    local = index_folder(tmp_path)
    settings = IndexSettings(archive=root, out="unused")
    remote = [row for stored in storage.list_objects(root) for row in index_object(stored, KEY, settings)]
    twins = {row["object_id"]: row for row in remote}
    for row in local:
        twin = twins[row["object_id"]]
        assert all(twin[name] == value for name, value in row.items() if name not in PLACES)
    usable = [row for row in local if row["status"] == "ok"]
    assert list(read_objects([twins[row["object_id"]] for row in usable], KEY)) == list(read_objects(usable, KEY))


def test_an_object_that_went_from_s3_is_not_found(moto_server):
    stored = storage.StoredObject(f"{moto_server.uri}/no-such-object", "no-such-object", 10, "")
    (row,) = index_object(stored, KEY, IndexSettings(archive=moto_server.uri, out="unused"))
    assert (row["status"], row["reason"], row["detail"]) == ("failed", "not_found", None)


def _rows_and_bytes(root, out):
    """Index what lies below the root with 8 threads, write and read the bytes of each usable row again."""
    settings = IndexSettings(archive=root, out="unused")
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda stored: index_object(stored, KEY, settings), storage.list_objects(root)))
        rows = [row for object_rows in found for row in object_rows]
        contents = list(read_objects([row for row in rows if row["status"] == "ok"], KEY))
        uris = [f"{out}/{number}" for number in range(len(contents))]
        list(threads.map(storage.write_bytes, uris, contents))
        return rows, contents, list(threads.map(storage.read_bytes, uris))


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_no_row_and_no_byte_is_lost_to_a_store_that_answers_wrongly(bucket, monkeypatch, fresh_client, share):
    root = f"{bucket.uri}/faulty-{share}"
    names = [f"{number:02d}" for number in range(40)]
    for number, name in enumerate(names):
        storage.write_bytes(f"{root}/in/{name}.dcm", dicom_bytes(image(40, 40), SOPInstanceUID=f"1.{number}"))
    members = {f"{name}.dcm": dicom_bytes(image(60, 60), SOPInstanceUID=f"2.{n}") for n, name in enumerate(names)}
    storage.write_bytes(f"{root}/in/shard.tar", tar_bytes(members))
    undisturbed = _rows_and_bytes(f"{root}/in", f"{root}/out")
    monkeypatch.setattr(S3Store, "window_s", 0.5)
    with FaultyProxy(bucket.endpoint, share) as proxy:
        proxy.delay_s = 0.05
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        storage._filesystem.cache_clear()
        disturbed = _rows_and_bytes(f"{root}/in", f"{root}/out-again")
    assert [row["status"] for row in disturbed[0]].count("failed") == 0
    assert disturbed == undisturbed and len(undisturbed[1]) == 80 and undisturbed[1] == undisturbed[2]
    assert proxy.faults >= 0.5 * share * proxy.counts.total()
