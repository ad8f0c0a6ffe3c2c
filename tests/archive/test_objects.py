import gzip
import io
import json
import random
import struct
import zipfile

import numpy as np
import pytest

from medray import schema, storage
from medray.archive.identity import keyed_hash, unseal
from medray.archive.objects import index_object, rows_to_table
from medray.archive.reading import read_object
from medray.errors import CredentialsError, StorageError, UnavailableError
from medray.settings import IndexSettings
from tests.archive.makers import (
    KEY,
    SHIPPED,
    dicom_bytes,
    dicom_dataset,
    image,
    index_bytes,
    index_folder,
    saved,
    shipped,
    tar_bytes,
)
from tests.archive.test_images import encoded

SPECTROSCOPY, REPORT = "1.2.840.10008.5.1.4.1.1.4.2", "1.2.840.10008.5.1.4.1.1.88.11"


def outcome(folder, data: bytes) -> tuple[str, str | None]:
    (row,) = index_bytes(folder, data)
    return row["status"], row["reason"]


def test_a_row_has_hashed_keys_and_every_column(tmp_path):
    (row,) = index_bytes(tmp_path, dicom_bytes(image(), PatientAge="095Y", PatientSex="F", AcquisitionTime="100000"))
    assert row["status"] == "ok" and list(row) == schema.INDEX.names
    assert row["patient_key"] == keyed_hash(KEY, "CANARY-1") and row["study_key"] == keyed_hash(KEY, "1.2.3")
    assert row["instance_key"] == keyed_hash(KEY, "1.2.3.4") and row["object_id"] == keyed_hash(KEY, "object")
    assert (row["patient_age_years"], row["patient_sex"], row["acquisition_time_s"]) == (90, "F", 36000)
    assert "CANARY" not in json.dumps(row).upper()


def _png_of_4_billion_columns() -> bytes:
    png = bytearray(encoded("L", "PNG"))
    struct.pack_into(">L", png, 16, 2**32 - 1)
    return bytes(png)


@pytest.mark.parametrize(
    ("data", "column"),
    [
        (dicom_bytes(image(), BitsAllocated=32768), "bits_allocated"),
        (dicom_bytes(image(), SamplesPerPixel=65535), "samples_per_pixel"),
        (_png_of_4_billion_columns(), "columns"),
    ],
)
def test_a_number_that_its_column_cannot_hold_is_flagged_and_ends_no_job(tmp_path, data, column):
    (row,) = index_bytes(tmp_path, data)
    assert row[column] is None and f"bad_value:{column}" in row["flags"]
    assert rows_to_table([row]).schema == schema.INDEX


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ("skipped", "empty_object")),
        (b"label,patient\n", ("skipped", "not_an_image")),
        (gzip.compress(b"text", mtime=0), ("skipped", "not_an_image")),
        (gzip.compress(tar_bytes({"a": b"x"}), mtime=0), ("failed", "unsupported_container")),
        (b"7z\xbc\xaf\x27\x1c rest", ("failed", "unsupported_container")),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), ("failed", "corrupt_header")),
        (bytes(128) + b"DICM", ("failed", "corrupt_header")),
        (b"PK\x03\x04" + bytes(60), ("failed", "corrupt_container")),
        (dicom_bytes(SOPClassUID=REPORT), ("skipped", "non_image_class")),
        (dicom_bytes(SOPClassUID=SPECTROSCOPY, Rows=1, Columns=1), ("skipped", "non_image_class")),
        (dicom_bytes(Rows=5, Columns=5), ("failed", "pixels_missing")),
        (dicom_bytes(image(), Rows=0), ("failed", "corrupt_header")),
        (dicom_bytes(image(), Rows=65535, Columns=65535), ("failed", "image_too_large")),
        (dicom_bytes(image())[:400], ("failed", "corrupt_header")),
    ],
)
def test_every_object_ends_as_one_row_with_a_reason(tmp_path, data, expected):
    assert outcome(tmp_path, data) == expected


def test_a_dicomdir_is_skipped_as_such(tmp_path):
    assert outcome(tmp_path, shipped("dicomdirtests/DICOMDIR")) == ("skipped", "dicomdir")


def test_a_missing_patient_id_groups_by_study(tmp_path):
    (row,) = index_bytes(tmp_path, dicom_bytes(image(), PatientID=""))
    assert row["patient_key"] == keyed_hash(KEY, "1.2.3") and row["flags"] == ["patient_id_missing"]


def test_a_loose_png_is_a_patient_of_its_own(tmp_path):
    (tmp_path / "one.png").write_bytes(encoded("L", "PNG"))
    (tmp_path / "two.png").write_bytes(encoded("L", "PNG"))
    first, second = index_folder(tmp_path)
    assert first["patient_key"] == keyed_hash(KEY, "one.png") != second["patient_key"]
    assert first["flags"] == ["patient_unknown"] and first["transfer_syntax_uid"] == "image/png"


def test_members_of_a_shard_read_like_loose_objects(tmp_path):
    contents = {"p/a.dcm": dicom_bytes(image()), "b.png": encoded("I;16", "PNG"), "notes.txt": b"hello"}
    shard, *members = index_bytes(tmp_path, tar_bytes(contents))
    assert (shard["status"], shard["reason"], shard["format"]) == ("skipped", "container", "tar")
    assert [row["status"] for row in members] == ["ok", "ok", "skipped"]
    for (name, content), row in zip(contents.items(), members, strict=True):
        assert read_object(row, KEY) == content
        assert row["member"] == name and row["object_id"] == keyed_hash(KEY, f"object/{name}")


def test_deflated_members_are_indexed_and_read(tmp_path):
    buffer = io.BytesIO()
    big = dicom_dataset(image(300, 300))
    big.add_new(0x00091010, "OB", random.Random(0).randbytes(90_000))
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", saved(big))
        archive.writestr("b.dcm", dicom_bytes(image()))
    _, first, second = index_bytes(tmp_path, buffer.getvalue())
    assert (first["status"], first["rows"], second["rows"]) == ("ok", 300, 4)
    assert first["compression"] == "deflate" and read_object(first, KEY) == saved(big)


def test_a_shard_in_a_shard_is_opened_and_one_deeper_is_not(tmp_path):
    inner = tar_bytes({"a.dcm": dicom_bytes(image()), "deeper.tar": tar_bytes({"b.dcm": dicom_bytes(image())})})
    rows = index_bytes(tmp_path, tar_bytes({"inner.tar": inner, "c.dcm": dicom_bytes(image())}))
    assert [(row["member"], row["reason"]) for row in rows] == [
        (None, "container"),
        ("inner.tar", "container"),
        ("inner.tar/a.dcm", None),
        ("inner.tar/deeper.tar", "nested_too_deep"),
        ("c.dcm", None),
    ]
    assert read_object(rows[2], KEY) == dicom_bytes(image())


def test_a_compressed_shard_in_a_shard_is_refused(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.tar", tar_bytes({"a.dcm": dicom_bytes(image())}))
    assert index_bytes(tmp_path, buffer.getvalue())[1]["reason"] == "nested_too_deep"


def test_members_of_one_name_keep_rows_of_their_own(tmp_path):
    data = tar_bytes({"a": encoded("L", "PNG")})[:-9216] + tar_bytes({"a": encoded("RGB", "PNG")})
    rows = index_bytes(tmp_path, data)
    assert [row["member"] for row in rows] == [None, "a", "a#2"] and rows[2]["flags"][0] == "duplicate_name"
    assert len({row["object_id"] for row in rows}) == 3


def test_a_damaged_shard_keeps_the_members_before_the_damage(tmp_path):
    data = bytearray(tar_bytes({"a.png": encoded("L", "PNG"), "b.png": encoded("L", "PNG")}))
    data[1024 + 150] ^= 0x55
    shard, member = index_bytes(tmp_path, bytes(data))
    assert (shard["status"], shard["reason"], member["status"]) == ("failed", "corrupt_container", "ok")


def test_sealed_names_open_with_the_key_and_show_nothing(tmp_path):
    (tmp_path / "CANARY.tar").write_bytes(tar_bytes({"CANARY.png": encoded("L", "PNG")}))
    rows = index_folder(tmp_path, paths="sealed")
    assert "CANARY" not in json.dumps(rows)
    assert unseal(KEY, rows[1]["uri"]).endswith("/CANARY.tar") and unseal(KEY, rows[1]["member"]) == "CANARY.png"
    assert read_object(rows[1], KEY) == encoded("L", "PNG")


def test_only_the_header_of_a_large_object_is_read(tmp_path):
    (row,) = index_bytes(tmp_path, dicom_bytes(image(2000, 2000)), header_bytes=4096)
    assert row["status"] == "ok" and row["bytes_read"] == 4096 and row["length"] > 8_000_000


def test_a_header_longer_than_the_first_read_is_read_on(tmp_path):
    dataset = dicom_dataset(image(500, 500))
    dataset.add_new(0x00091010, "OB", bytes(100_000))
    (row,) = index_bytes(tmp_path, saved(dataset), header_bytes=4096)
    assert row["status"] == "ok" and 100_000 < row["bytes_read"] < 210_000


def test_native_pixels_cut_after_a_whole_frame_are_flagged(tmp_path):
    (row,) = index_bytes(tmp_path, dicom_bytes(np.zeros((2, 50, 50), np.uint16))[:-100])
    assert (row["status"], row["flags"]) == ("ok", ["pixels_truncated"])


def test_native_pixels_without_a_whole_frame_fail_with_the_numbers(tmp_path):
    (row,) = index_bytes(tmp_path, dicom_bytes(image(50, 50))[:-100])
    assert (row["status"], row["reason"]) == ("failed", "pixel_length_mismatch")
    assert row["detail"] == "4900 bytes where a frame has 5000"


def test_an_odd_header_longer_than_the_first_read_is_read_on_for_pydicom(tmp_path):
    data = dicom_bytes(image(), ImageComments="x" * 3000)
    start = data.index(b"\xe0\x7f\x10\x00")
    (row,) = index_bytes(tmp_path, data[:start] + b"\x08\x00\x70\x00LO\x04\x00Late" + data[start:], header_bytes=600)
    assert (row["status"], row["manufacturer"], row["flags"]) == ("ok", "Late", ["read_by_pydicom"])


def test_an_object_that_a_store_will_not_give_is_one_failed_row(tmp_path, monkeypatch):
    (tmp_path / "object").write_bytes(b"x")
    (stored,) = storage.list_objects(str(tmp_path))

    def refuse(*_):
        raise StorageError("CANARY cannot be read")

    monkeypatch.setattr(storage, "read_bytes", refuse)
    (row,) = index_object(stored, KEY, IndexSettings(archive="a", out="b"))
    assert (row["status"], row["reason"], row["detail"]) == ("failed", "read_failed", None)


@pytest.mark.parametrize("error", [CredentialsError("expired"), UnavailableError("away")])
def test_a_store_that_gives_nothing_any_more_is_no_row_of_an_object(tmp_path, monkeypatch, error):
    (tmp_path / "object").write_bytes(b"x")
    (stored,) = storage.list_objects(str(tmp_path))

    def refuse(*_):
        raise error

    monkeypatch.setattr(storage, "read_bytes", refuse)
    with pytest.raises(type(error)):
        index_object(stored, KEY, IndexSettings(archive="a", out="b"))


def test_a_defect_of_ours_costs_one_row(tmp_path, monkeypatch):
    monkeypatch.setattr("medray.archive.objects.image_fields", lambda *_: 1 / 0)
    (row,) = index_bytes(tmp_path, encoded("L", "PNG"))
    assert (row["status"], row["reason"], row["detail"]) == ("failed", "internal", "ZeroDivisionError")


def test_mutated_shards_never_raise(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", dicom_bytes(image()))
    shards = [tar_bytes({"a.dcm": dicom_bytes(image()), "b.png": encoded("L", "PNG")}), buffer.getvalue()]
    draw = random.Random(11)
    for number in range(200):
        data = bytearray(shards[number % 2])
        for _ in range(draw.randint(1, 8)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        rows = index_bytes(tmp_path, bytes(data))
        assert all(row["reason"] != "internal" for row in rows)


def test_rows_fit_the_schema(tmp_path):
    rows = index_bytes(tmp_path, dicom_bytes(image(), ImagePositionPatient=[1, 2, 3]))
    table = rows_to_table(rows)
    assert table.schema.equals(schema.INDEX) and table["position_mm"].to_pylist() == [[1.0, 2.0, 3.0]]


def test_every_file_of_pydicom_ends_as_a_row():
    rows = index_folder(SHIPPED.parent)
    assert len(rows) >= 190 and not any(row["reason"] == "internal" for row in rows)
    assert sum(row["status"] == "ok" for row in rows) >= 100


@pytest.mark.parametrize("name", ["dcmqi", "wg04", "encapsulated", "multiframe", "ibsi"])
def test_real_archives_are_indexed_without_a_failed_row(medray_data, name):
    rows = index_folder(medray_data / name)
    assert [row["reason"] for row in rows if row["status"] == "failed"] == []
    dicom = [row for row in rows if row["format"] == "dicom"]
    assert {"ibsi": 1131, "dcmqi": 20, "wg04": 40, "encapsulated": 20, "multiframe": 2}[name] <= len(dicom)
    assert all(row["transfer_syntax_uid"] and row["patient_key"] for row in dicom)


def test_a_jpeg_2000_object_keeps_its_transfer_syntax(tmp_path):
    (row,) = index_bytes(tmp_path, shipped("693_J2KI.dcm"))
    assert row["transfer_syntax_uid"] == "1.2.840.10008.1.2.4.91"
    assert (row["rows"], row["columns"], row["bits_stored"]) == (512, 512, 14)
