"""Objects written piece by piece, on a disk, on moto's server and, slowly, on a real Ceph."""

import random

import boto3
import pytest

from medray import storage
from medray.archive.uploads import PART_BYTES, new_object, sweep

PIECES = [random.Random(size).randbytes(size) for size in (3 * PART_BYTES - 5, 0, 11, PART_BYTES, 1_000_003)]


def _uploads(bucket):
    return boto3.Session().client("s3").list_multipart_uploads(Bucket=bucket.name).get("Uploads", [])


def test_an_object_of_many_pieces_is_there_when_it_is_published_and_not_before(folder):
    uri = storage.join(folder, "shards", "big.tar")
    with new_object(uri) as writer:
        for piece in PIECES:
            writer.write(piece)
        assert not storage.exists(uri)
        etag = writer.publish()
    (stored,) = storage.list_objects(storage.join(folder, "shards"))
    assert storage.read_bytes(uri) == b"".join(PIECES)
    assert (stored.etag, stored.size) == (etag, sum(map(len, PIECES)))


def test_the_same_bytes_in_other_pieces_are_the_same_object(bucket, tmp_path):
    data, etags = b"".join(PIECES), []
    for step in (100_001, PART_BYTES, len(data)):
        with new_object(f"{bucket.uri}/{tmp_path.name}-pieces") as writer:
            for start in range(0, len(data), step):
                writer.write(data[start : start + step])
            etags.append(writer.publish())
    assert len(set(etags)) == 1


def test_a_small_object_is_one_put(folder):
    uri = storage.join(folder, "small.tar")
    with new_object(uri) as writer:
        writer.write(b"few")
        writer.publish()
    assert storage.read_bytes(uri) == b"few"


def test_what_is_not_published_leaves_nothing_and_the_old_object_stays(folder):
    uri = storage.join(folder, "shards", "shard.tar")
    storage.write_bytes(uri, b"old")
    with pytest.raises(RuntimeError, match="in the middle"), new_object(uri) as writer:
        writer.write(PIECES[0])
        raise RuntimeError("in the middle")
    assert storage.read_bytes(uri) == b"old" and storage.names(storage.join(folder, "shards")) == ["shard.tar"]


def test_an_upload_that_nobody_ended_is_swept_and_its_parts_with_it(bucket, tmp_path):
    root = f"{bucket.uri}/{tmp_path.name}-swept"
    for name in ("kept", "stray"):
        storage.write_bytes(f"{root}/{name}", b"x")
    place = {"Bucket": bucket.name, "Key": f"{tmp_path.name}-swept/killed.tar"}
    client = boto3.Session().client("s3")
    begun = client.create_multipart_upload(**place)["UploadId"]
    client.upload_part(**place, UploadId=begun, PartNumber=1, Body=bytes(5 * 2**20))
    elsewhere = client.create_multipart_upload(Bucket=bucket.name, Key=f"{tmp_path.name}-swept-not/other.tar")
    assert sweep(root, keep={"kept"}) == 2
    assert storage.names(root) == ["kept"]
    assert [item["UploadId"] for item in _uploads(bucket)] == [elsewhere["UploadId"]]
    client.abort_multipart_upload(Bucket=bucket.name, Key=elsewhere["Key"], UploadId=elsewhere["UploadId"])


def test_what_a_killed_writer_left_on_a_disk_is_swept(tmp_path):
    for name in ("shard-1.tar", ".shard-2.tar.123.partial", "shard-3.tar"):
        (tmp_path / name).write_bytes(b"x")
    assert sweep(str(tmp_path), keep={"shard-1.tar"}) == 2
    assert storage.names(str(tmp_path)) == ["shard-1.tar"]


def test_a_folder_that_is_not_there_has_nothing_to_sweep(tmp_path):
    assert sweep(str(tmp_path / "none"), keep=set()) == 0
