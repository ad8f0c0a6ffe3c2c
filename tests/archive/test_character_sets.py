"""Specific Character Set (0008,0005), as the standard has it and as files have it: none costs an image or a row."""

import itertools

import pyarrow as pa
import pydicom
import pytest
from pydicom.charset import python_encoding

from medray import schema
from medray.archive import values
from medray.archive.elements import EXPLICIT_LITTLE
from medray.archive.headers import Header, read_header
from medray.archive.reading import read_instance
from medray.archive.rows import INDEX_TAGS, dicom_fields
from tests.archive.makers import KEY, SHIPPED, dicom_bytes, image

CHARSET_FILES = sorted((SHIPPED.parent / "charset_files").glob("*.dcm"))
PATIENT_NAME, PATIENT_ID = 0x00100010, 0x00100020
DECLARED = [
    *(name for name in python_encoding if name),
    "",
    "\\",
    "\\\\\\",
    "ISO_IR 999",
    "iso_ir 100",
    "ISO-IR 100",
    "ISO 2022 IR 6\\ISO 2022 IR 100\\ISO 2022 IR 144",
    "\\ISO 2022 IR 87\\ISO 2022 IR 159",
    "ISO 2022 IR 13\\ISO 2022 IR 87",
    "\\ISO 2022 IR 149",
    "\\ISO 2022 IR 58",
    "ISO_IR 192\\ISO 2022 IR 87",
    "GB18030\\GBK",
    *("utf-7", "utf-16", "punycode", "idna", "unicode_escape", "raw_unicode_escape", "rot13", "zlib", "undefined"),
    "\0\0",
    "\xff\xfe",
    "A" * 5000,
]
TEXTS = [
    "Jörg^Müller".encode("latin-1"),
    "山田^太郎".encode(),
    b"\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
    b"\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce",
    b"\x1b",
    b"\x1b$",
    b"\x1b$B",
    b"\x1b(J\xd4\xcf\xc0\xde=\x1b$B",
    b"+2AA-",  # a lone surrogate in UTF-7
    b"\\ud800\xff",  # and in unicode_escape
    b"\xed\xa0\x80",  # and in UTF-8
    bytes(range(0x80, 0xC0)),
    bytes(range(0xC0, 0x100)),
    b"\xff" * 64,
]


def hostile(text: bytes, declared: str) -> bytes:
    """A CT whose patient and maker are these bytes, under that character set."""
    room, name = b"X" * (len(text) + len(text) % 2), declared.encode("latin-1")
    data = dicom_bytes(image(), PatientID=room.decode(), Manufacturer=room.decode(), SpecificCharacterSet="ISO_IR 100")
    data = data.replace(room, text.ljust(len(room)))
    length = (len(name) + len(name) % 2).to_bytes(2, "little")
    return data.replace(b"CS\x0a\0ISO_IR 100", b"CS" + length + name + b" " * (len(name) % 2))


def row_of(data: bytes) -> dict:
    return dicom_fields(read_header(data, whole=True, wanted=INDEX_TAGS), KEY)


@pytest.mark.parametrize("declared", DECLARED, ids=lambda declared: repr(declared[:24]))
def test_no_character_set_costs_an_image_or_a_row(declared):
    for text in TEXTS:
        data = hostile(text, declared)
        row = row_of(data)
        assert len(row["patient_key"]) == 32
        pa.Table.from_pylist([row], schema=schema.INDEX)  # lone surrogates would lose the whole part file
        assert len(read_instance(data, "dicom").encoded_frames[0]) == 48


@pytest.mark.parametrize("path", CHARSET_FILES, ids=lambda path: path.stem)
def test_names_of_pydicoms_character_sets_are_read_as_pydicom_reads_them(path):
    data = path.read_bytes()
    header = read_header(data, whole=True, wanted=INDEX_TAGS | {PATIENT_NAME})
    expected = str(pydicom.dcmread(path).get("PatientName", ""))
    assert (values.raw_text(header, PATIENT_NAME) or "").rstrip("=") == expected  # it leaves out what is empty
    assert header.flags == []
    pa.Table.from_pylist([row_of(data)], schema=schema.INDEX)


@pytest.mark.parametrize(
    ("declared", "raw", "expected"),
    [  # PS3.5 H.3.1, H.3.2 (Japanese), I.2 (Korean), J.1 (UTF-8), J.3 (GB18030), K.2 (Simplified Chinese in ISO 2022)
        (r"\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "Yamada^Tarou=山田^太郎"),
        (r"ISO 2022 IR 13\ISO 2022 IR 87", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        (r"\ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "Hong^Gildong=洪^吉洞"),
        ("ISO_IR 192", b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1", "Wang^XiaoDong=王^小東"),
        ("GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东"),
        (r"\ISO 2022 IR 58", b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab", "Zhang^XiaoDong=张^小东"),
    ],
)
def test_the_standards_own_examples_are_read(declared, raw, expected):
    header = Header(b"", EXPLICIT_LITTLE, {PATIENT_ID: raw, values.SPECIFIC_CHARACTER_SET: declared.encode()})
    assert values.raw_text(header, PATIENT_ID) == expected
    assert header.flags == []


def test_equal_patients_stay_equal_whatever_is_guessed():
    keys = [row_of(hostile("Jörg".encode("latin-1"), declared))["patient_key"] for declared in ("nonsense", "punycode")]
    assert len(set(keys)) == 1


def test_every_pair_of_code_extensions_is_survived():
    extensions = [name for name in python_encoding if name.startswith("ISO 2022")]
    for pair in itertools.permutations(extensions, 2):
        for raw in TEXTS:
            declared = "\\".join(pair).encode()
            header = Header(b"", EXPLICIT_LITTLE, {PATIENT_ID: raw, values.SPECIFIC_CHARACTER_SET: declared})
            (values.raw_text(header, PATIENT_ID) or "").encode()
