import io
import random
import warnings

import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from medray.archive.headers import RefusedError, read_header, walk_header
from medray.archive.pixel_module import INSTANCE_TAGS
from medray.archive.rows import INDEX_TAGS, dicom_fields
from tests.archive.makers import KEY, SHIPPED, dicom_bytes, dicom_dataset, image, saved

SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


def assert_equal_to_pydicom(data: bytes) -> None:
    header = read_header(data, whole=True, wanted=INSTANCE_TAGS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(io.BytesIO(data), force=True, stop_before_pixels=True)
    for group in (dataset, dataset.file_meta):
        for tag in list(group.keys()):
            element = group.get_item(tag)
            if int(tag) in INSTANCE_TAGS and isinstance(element, RawDataElement) and header.complete:
                assert header.values[int(tag)] == (element.value or b""), tag
            elif int(tag) in INSTANCE_TAGS and element.VR == "SQ" and header.complete:
                assert len(header.items(int(tag))) == len(element.value)
    assert set(header.values) <= {int(tag) for tag in [*dataset.keys(), *dataset.file_meta.keys()]}


def test_the_walker_finds_what_pydicom_finds_in_every_file_of_pydicom():
    files = sorted(SHIPPED.parent.rglob("*.dcm"))
    assert len(files) >= 80
    for path in files:
        assert_equal_to_pydicom(path.read_bytes())


def test_the_walker_finds_what_pydicom_finds_in_real_archives(medray_data):
    files = [
        path for name in ("dcmqi", "wg04", "encapsulated", "multiframe") for path in (medray_data / name).rglob("*")
    ]
    files += (
        sorted((medray_data / "ibsi").rglob("*.dcm"))[::10] + sorted((medray_data / "dcm_qa_nih").rglob("*.dcm"))[::10]
    )
    seen = 0
    for path in files:
        data = path.read_bytes() if path.is_file() else b""
        if data[128:132] == b"DICM":
            assert_equal_to_pydicom(data)
            seen += 1
    assert seen > 150


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_all_four_encodings_give_the_same_row(syntax):
    tags = {"PixelSpacing": [0.5, 0.25], "RescaleSlope": 2, "Manufacturer": "Maker", "InstanceNumber": 7}
    fields = dicom_fields(read_header(dicom_bytes(image(), syntax, **tags), whole=True, wanted=INDEX_TAGS), KEY)
    assert (fields["rows"], fields["columns"], fields["bits_stored"]) == (4, 6, 16)
    assert (fields["row_spacing_mm"], fields["column_spacing_mm"]) == (0.5, 0.25)
    assert (fields["rescale_slope"], fields["manufacturer"], fields["instance_number"]) == (2.0, "Maker", 7)
    assert fields["transfer_syntax_uid"] == syntax and fields["flags"] == []


def test_a_header_cut_anywhere_before_the_pixels_is_never_complete():
    data = dicom_bytes(image(), Manufacturer="Maker")
    start = walk_header(data, whole=True, wanted=INDEX_TAGS).pixels.start
    for length in range(140, start - 12, 3):
        assert not walk_header(data[:length], whole=False, wanted=INDEX_TAGS).complete
    assert walk_header(data[:start], whole=False, wanted=INDEX_TAGS).complete


def test_a_cut_header_says_how_many_bytes_it_needs():
    dataset = dicom_dataset(image())
    dataset.add_new(0x00091010, "OB", bytes(100_000))
    assert read_header(saved(dataset)[:32768], whole=False, wanted=INDEX_TAGS).needs > 100_000


@pytest.mark.parametrize("syntax", SYNTAXES[:2])
def test_without_preamble_and_meta_the_encoding_is_found_and_flagged(syntax):
    data = dicom_bytes(image(), syntax)
    length = pydicom.dcmread(io.BytesIO(data)).file_meta.FileMetaInformationGroupLength
    header = read_header(data[132 + 12 + length :], whole=True, wanted=INDEX_TAGS)
    assert header.transfer_syntax_uid == syntax
    assert header.flags == ["missing_preamble", "transfer_syntax_guessed"]
    assert dicom_fields(header, KEY)["rows"] == 4


def test_nested_sequences_of_undefined_length_are_stepped_over():
    inner = Dataset()
    inner.CodeValue, inner.PatientID = "x", "NESTED"
    for _ in range(5):
        outer = Dataset()
        outer.PurposeOfReferenceCodeSequence = Sequence([inner])
        outer["PurposeOfReferenceCodeSequence"].is_undefined_length = True
        inner = outer
    header = walk_header(dicom_bytes(image(), ReferencedImageSequence=Sequence([inner])), whole=True, wanted=INDEX_TAGS)
    assert header.values[0x00100020].strip() == b"CANARY-1"


def test_elements_out_of_order_are_left_to_pydicom():
    data = dicom_bytes(image())
    stray = b"\x08\x00\x70\x00LO\x04\x00Late"
    start = data.index(b"\xe0\x7f\x10\x00")
    with pytest.raises(RefusedError):
        walk_header(data[:start] + stray + data[start:], whole=True, wanted=INDEX_TAGS)
    header = read_header(data[:start] + stray + data[start:], whole=True, wanted=INDEX_TAGS)
    assert "read_by_pydicom" in header.flags
    fields = dicom_fields(header, KEY)
    assert (fields["manufacturer"], fields["rows"]) == ("Late", 4)
    assert header.pixels.start == start + len(stray) + 12


def test_a_deflate_bomb_is_inflated_no_further_than_a_header_can_be():
    data = dicom_bytes(image(), DeflatedExplicitVRLittleEndian)
    dataset = dicom_dataset(np.zeros((5000, 5000), np.uint16), DeflatedExplicitVRLittleEndian)
    bomb = saved(dataset)
    assert len(bomb) < 200_000
    assert len(read_header(bomb, whole=False, wanted=INDEX_TAGS).data) == 16 * 2**20
    assert read_header(data, whole=True, wanted=INDEX_TAGS).pixels is not None


def test_a_thousand_mutated_headers_give_a_row_or_a_refusal():
    draw = random.Random(7)
    sources = [path.read_bytes()[:6000] for path in sorted(SHIPPED.parent.rglob("*.dcm"))[::6]]
    for number in range(1000):
        data = bytearray(sources[number % len(sources)])
        for _ in range(draw.randint(1, 12)):
            data[draw.randrange(min(len(data), 3000))] = draw.choice((0, 1, 255, 92, draw.randrange(256)))
        cut = bytes(data[: draw.randint(0, len(data))] if number % 3 == 0 else data)
        try:
            header = read_header(cut, whole=number % 2 == 0, wanted=INDEX_TAGS)
        except RefusedError:
            continue
        fields = dicom_fields(header, KEY)
        assert fields["frames"] >= 1
