"""What is packed, what stays, and why."""

import pyarrow as pa

from medray.archive.packable import SURVEYED, packable, why_they_stay

ROWS = [
    (("dicom", "ok", None, 5), True),
    (("png", "ok", None, 5), True),
    (("jpeg", "failed", "corrupt_image", 5), True),
    (("dicom", "skipped", "non_image_class", 5), True),  # reports, plans, RTSTRUCT
    (("dicom", "failed", "corrupt_header", 5), True),
    (("dicom", "ok", None, 2**31), True),
    (("dicom", "ok", None, 2**31 + 1), False),
    (("dicom", "skipped", "dicomdir", 5), False),
    (("tar", "skipped", "container", 5), False),
    (("zip", "failed", "corrupt_container", 5), False),
    ((None, "skipped", "not_an_image", 5), False),
    ((None, "skipped", "empty_object", 0), False),
    ((None, "failed", "read_failed", None), False),
]


def test_dicom_of_every_kind_and_images_are_packed_broken_ones_too():
    table = pa.Table.from_pylist([dict(zip(SURVEYED, row, strict=True)) for row, _ in ROWS])
    assert packable(table).to_pylist() == [packed for _, packed in ROWS]


def test_what_stays_is_counted_by_its_reason():
    stays = pa.Table.from_pylist([dict(zip(SURVEYED, row, strict=True)) for row, packed in ROWS if not packed])
    assert why_they_stay(stays) == {
        "ok:too_large": 1,
        "skipped:dicomdir": 1,
        "skipped:container": 1,
        "failed:corrupt_container": 1,
        "skipped:not_an_image": 1,
        "skipped:empty_object": 1,
        "failed:read_failed": 1,
    }
