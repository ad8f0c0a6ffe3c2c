"""The same rows and bytes from an object store, on moto's server."""

from medray import storage
from medray.archive.fetching import read_objects
from medray.archive.objects import index_object
from medray.settings import IndexSettings
from tests.archive.makers import KEY, dicom_bytes, image, index_folder, tar_bytes
from tests.archive.test_images import encoded

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
