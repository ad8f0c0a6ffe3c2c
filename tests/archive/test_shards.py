"""Tar shards: their bytes, their index, and what happens to a shard that breaks."""

import hashlib
import tarfile
import tracemalloc
import zipfile
import zlib

import pytest

from medray import storage
from medray.archive.fetching import RUN_BYTES, THREADS, read_objects
from medray.archive.objects import index_object
from medray.archive.rows import rows_to_table
from medray.archive.shards import parted, write_shard
from medray.errors import Reason, SampleError
from medray.settings import IndexSettings
from tests.archive.makers import KEY, dicom_bytes, image, index_folder, tar_bytes
from tests.archive.test_images import encoded

CONTENTS = {f"{n:03d}.png": encoded("L", "PNG", size=(n + 1, 9)) for n in range(12)}
CONTENTS |= {"ct.dcm": dicom_bytes(image()), "report.dcm": dicom_bytes(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")}


@pytest.fixture
def archive(tmp_path):
    for name, content in CONTENTS.items():
        storage.write_bytes(str(tmp_path / "archive" / name), content)
    return tmp_path / "archive"


def written(rows, tmp_path, name="shard-0123.tar", *, sealed=False):
    uri = str(tmp_path / name)
    return uri, write_shard(rows_to_table(rows), KEY, uri, sealed=sealed)


def test_a_shard_is_the_tar_that_tarfile_writes(archive, tmp_path):
    rows = index_folder(archive)
    uri, _ = written(rows, tmp_path)
    extension = {"dicom": "dcm", "png": "png"}
    names = [f"{row['object_id']}.{extension[row['format']]}" for row in rows]
    expected = tar_bytes(dict(zip(names, CONTENTS.values(), strict=True)), tarfile.USTAR_FORMAT)
    assert storage.read_bytes(uri) == expected


def test_the_rows_have_zlibs_crc_of_each_member_and_sha256_of_the_shard(archive, tmp_path):
    uri, table = written(index_folder(archive), tmp_path)
    shard, members, unread = parted(table)
    assert shard["checksum"] == f"sha256:{hashlib.sha256(storage.read_bytes(uri)).hexdigest()}"
    found = [f"crc32:{zlib.crc32(content):08x}" for content in CONTENTS.values()]
    assert members["checksum"].to_pylist() == found and not unread.num_rows


def test_the_shards_index_is_the_one_that_index_makes_of_it_but_for_ids_and_checksums(archive, tmp_path):
    uri, table = written(index_folder(archive), tmp_path)
    (stored,) = storage.list_objects(uri)
    read = index_object(stored, KEY, IndexSettings(archive=uri, out="unused", paths="plain"))
    differs = {"object_id", "checksum", "bytes_read", "patient_key"}  # an unknown patient's key is the object's id
    for ours, found in zip(table.to_pylist(), read, strict=True):
        assert {name: value for name, value in ours.items() if name not in differs} == {
            name: value for name, value in found.items() if name not in differs
        }


def test_the_same_rows_give_the_same_shard(archive, tmp_path):
    one, two = (written(index_folder(archive), tmp_path, name)[0] for name in ("a.tar", "b.tar"))
    assert storage.read_bytes(one) == storage.read_bytes(two)


def test_what_cannot_be_read_keeps_its_place_and_says_why(archive, tmp_path):
    rows = index_folder(archive)
    (archive / "001.png").unlink()
    (archive / "002.png").write_bytes(b"longer" * 1000)
    uri, table = written(rows, tmp_path)
    shard, members, unread = parted(table)
    assert shard and members.num_rows == len(rows) - 2
    assert [(row["uri"], row["status"], row["reason"]) for row in unread.to_pylist()] == [
        (str(archive / "001.png"), "failed", "not_found"),
        (str(archive / "002.png"), "failed", "changed_since_index"),
    ]
    with tarfile.open(uri) as tar:
        assert len(tar.getnames()) == len(rows) - 2
    order = [row["object_id"] for row in table.to_pylist() if row["format"] != "tar"]
    assert order == [row["object_id"] for row in rows]


def test_where_nothing_can_be_read_there_is_no_shard(archive, tmp_path):
    rows = index_folder(archive)[:2]
    for name in ("000.png", "001.png"):
        (archive / name).unlink()
    _, table = written(rows, tmp_path)
    assert parted(table)[0] is None and table["reason"].to_pylist() == ["not_found"] * 2
    assert storage.names(str(tmp_path)) == ["archive"]


@pytest.mark.parametrize("sealed", [True, False])
def test_a_flipped_bit_costs_one_member_whose_row_names_the_shard(archive, tmp_path, sealed):
    uri, table = written(index_folder(archive), tmp_path, sealed=sealed)
    rows = parted(table)[1].to_pylist()
    data = bytearray(storage.read_bytes(uri))
    data[rows[5]["offset"] + 20] ^= 1
    storage.write_bytes(uri, bytes(data))
    found = list(read_objects(rows, KEY))
    assert [n for n, content in enumerate(found) if isinstance(content, SampleError)] == [5]
    assert found[5].reason is Reason.CHECKSUM_MISMATCH
    assert found[5].detail.startswith(f"shard-0123.tar at {rows[5]['offset']}: crc32:")
    assert [content for n, content in enumerate(found) if n != 5] == [
        content for n, content in enumerate(CONTENTS.values()) if n != 5
    ]


def test_bytes_broken_on_their_way_are_fetched_once_more(archive, tmp_path, monkeypatch):
    _, table = written(index_folder(archive), tmp_path)
    rows, read, calls = parted(table)[1].to_pylist(), storage.read_bytes, []

    def broken_once(uri, offset=0, length=None):
        data = bytearray(read(uri, offset, length))
        if not calls:
            data[rows[3]["offset"] - offset] ^= 0x80
        calls.append(length)
        return bytes(data)

    monkeypatch.setattr(storage, "read_bytes", broken_once)
    assert list(read_objects(rows, KEY)) == list(CONTENTS.values())
    assert calls[1:] == [rows[3]["length"]]


def test_members_of_a_tar_and_a_deflated_zip_are_packed_as_they_were_before(tmp_path):
    storage.write_bytes(str(tmp_path / "archive" / "a.tar"), tar_bytes(CONTENTS))
    with zipfile.ZipFile(tmp_path / "archive" / "b.zip", "w", zipfile.ZIP_DEFLATED) as deflated:
        for name, content in CONTENTS.items():
            deflated.writestr(name, content)
    rows = [row for row in index_folder(tmp_path / "archive") if row["member"]]
    _, table = written(rows, tmp_path)
    assert list(read_objects(parted(table)[1].to_pylist(), KEY)) == [*CONTENTS.values()] * 2
    assert set(table["compression"].to_pylist()) == {None}


def test_memory_is_bounded_by_what_is_read_ahead_not_by_the_shard(tmp_path):
    content = dicom_bytes(image(1024, 1024))
    for number in range(200):
        storage.write_bytes(str(tmp_path / "archive" / f"{number:03d}.dcm"), content)
    rows = index_folder(tmp_path / "archive")
    tracemalloc.start()
    uri, _ = written(rows, tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (stored,) = storage.list_objects(uri)
    assert stored.size > 400 * 2**20 and peak < (THREADS + 2) * len(content) + 8 * 2**20


def test_at_most_128_mebibytes_are_read_ahead(monkeypatch):
    rows = [dict.fromkeys(("member", "compression", "checksum")) | {"uri": f"/{n}", "offset": 0} for n in range(9)]
    begun, ahead = [], []

    def read(uri, offset, length):
        begun.append(uri)
        return bytes(length - 1)

    monkeypatch.setattr("medray.archive.fetching.fetch", read)
    for number, _ in enumerate(read_objects([row | {"length": 40 * 2**20} for row in rows], KEY)):
        ahead.append(len(begun) - number)
    assert max(ahead) <= THREADS * RUN_BYTES // (40 * 2**20) + 1 < THREADS
