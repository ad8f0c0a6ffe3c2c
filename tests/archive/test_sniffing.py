import gzip
import random

import pytest
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medray.archive.sniffing import inside_gzip, sniff
from tests.archive.makers import dicom_bytes, image, tar_bytes


def bare(syntax: str) -> bytes:
    data = dicom_bytes(image(), syntax)
    return data[132 + 12 + int.from_bytes(data[140:144], "little") :]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_data_set_without_preamble_is_bare_dicom(syntax):
    assert sniff(bare(syntax)[:1024]) == "dicom_bare"


def test_a_meta_group_without_preamble_is_bare_dicom():
    assert sniff(dicom_bytes(image())[132:][:1024]) == "dicom_bare"


@pytest.mark.parametrize(
    ("head", "format"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(8), "png"),
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"MM\0*", "tiff"),
        (b"PK\x03\x04", "zip"),
        (tar_bytes({"a": b""})[:1024], "tar"),
        (b"patient,label\n1,normal\n", None),
        (b"%PDF-1.7", None),
        (b"", None),
    ],
)
def test_the_first_bytes_name_the_format(head, format):
    assert sniff(head) == format


def test_an_old_tar_without_ustar_is_known_by_its_checksum():
    data = bytearray(tar_bytes({"a": b"x"})[:1024])
    data[257:265] = bytes(8)
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + 256 + sum(data[156:512]))
    assert sniff(bytes(data)) == "tar"


def test_gzip_is_looked_into():
    assert inside_gzip(gzip.compress(tar_bytes({"a": b"x"}))) == "tar"
    assert inside_gzip(gzip.compress(b"text")) is None
    assert inside_gzip(b"\x1f\x8b\x08 damaged") is None


def test_random_bytes_are_hardly_ever_taken_for_an_image():
    draw = random.Random(5)
    assert sum(sniff(draw.randbytes(1024)) is not None for _ in range(3000)) == 0
