"""Windows and VOI tables as the header gives them."""

import struct
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medray.archive.instance import LookupTable, Window
from medray.archive.reading import read_instance
from tests.archive.makers import dicom_bytes, image

SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]


def module(pixels=None, syntax=ExplicitVRLittleEndian, **tags: Any):
    return read_instance(dicom_bytes(image() if pixels is None else pixels, syntax, **tags), "dicom").pixels


def lut(entries: int, first: int, bits: int, data: bytes, explanation: str | None = None) -> Sequence:
    """A VOI LUT Sequence of one item, its descriptor as three unsigned words."""
    item = Dataset()
    item.add_new(0x00283002, "US", [entries % 65536, first % 65536, bits])
    item.add_new(0x00283006, "OW", data)
    if explanation is not None:
        item.LUTExplanation = explanation
    return Sequence([item])


def words(*values: int, syntax: str = ExplicitVRLittleEndian) -> bytes:
    return struct.pack(f"{'>' if syntax == ExplicitVRBigEndian else '<'}{len(values)}H", *values)


def of_frames(*windows: tuple[float, float]) -> Sequence:
    items = []
    for center, width in windows:
        window, item = Dataset(), Dataset()
        window.WindowCenter, window.WindowWidth = center, width
        item.FrameVOILUTSequence = Sequence([window])
        items.append(item)
    return Sequence(items)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_windows_have_their_function_and_their_explanations(syntax):
    tags = {"WindowCenter": [40, -600], "WindowWidth": [400, 1500], "WindowCenterWidthExplanation": ["SOFT", "LUNG"]}
    assert module(syntax=syntax, **tags).voi == (
        (Window(40, 400, "LINEAR", "SOFT"), Window(-600, 1500, "LINEAR", "LUNG")),
    )
    one = {"WindowCenter": 0.5, "WindowWidth": 0.25, "VOILUTFunction": "SIGMOID"}
    assert module(syntax=syntax, **one).voi == ((Window(0.5, 0.25, "SIGMOID"),),)
    assert module(syntax=syntax).voi == ()


def test_windows_come_before_tables():
    found = module(WindowCenter=40, WindowWidth=400, VOILUTSequence=lut(4, 0, 16, words(0, 1, 2, 65535), "FILM")).voi
    assert found == ((Window(40, 400), LookupTable(0, 16, (0, 1, 2, 65535), "FILM")),)


@pytest.mark.parametrize(
    ("tags", "flag"),
    [
        ({"WindowWidth": 0}, "bad_window_width"),
        ({"WindowWidth": 0.5}, "bad_window_width"),
        ({"WindowWidth": -400, "VOILUTFunction": "LINEAR_EXACT"}, "bad_window_width"),
        ({"WindowWidth": 400, "VOILUTFunction": "CUBIC"}, "bad_value:VOILUTFunction"),
        ({"WindowWidth": [400, 500]}, "bad_value:WindowWidth"),
    ],
)
def test_a_window_that_the_standard_forbids_is_flagged(tags, flag):
    assert module(WindowCenter=40, **tags).flags == (flag,)
    assert module(WindowCenter=40, WindowWidth=0.5, VOILUTFunction="LINEAR_EXACT").flags == ()


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("entries", [4, 300])
def test_eight_bit_tables_packed_in_words_and_in_words_of_their_own_are_equal(syntax, entries):
    values = tuple(value % 251 for value in range(entries))
    packed = np.array(values, np.uint8).tobytes()
    if syntax == ExplicitVRBigEndian:
        packed = np.frombuffer(packed, ">u2").astype("<u2").tobytes()
    for data in (packed, words(*values, syntax=syntax)):
        found = module(syntax=syntax, VOILUTSequence=lut(entries, 0, 8, data))
        assert found.voi == ((LookupTable(0, 8, values),),)


@pytest.mark.parametrize("bits", range(8, 17))
def test_tables_of_8_to_16_bits_are_read(bits):
    top = 2**bits - 1
    assert module(VOILUTSequence=lut(3, 0, bits, words(0, 1, top))).voi == ((LookupTable(0, bits, (0, 1, top)),),)


@pytest.mark.parametrize(
    ("tags", "dtype", "first"),
    [
        ({}, "int16", -1024),
        ({}, "uint16", 64512),
        ({"RescaleSlope": 1, "RescaleIntercept": -1024}, "uint16", -1024),
        ({"RescaleSlope": 1, "RescaleIntercept": 0}, "uint16", 64512),
        ({"RescaleSlope": 1, "RescaleIntercept": 32768}, "int16", 64512),
        ({"RescaleSlope": -1, "RescaleIntercept": 0}, "uint16", -1024),
    ],
)
def test_the_first_value_mapped_is_signed_where_modality_values_can_be_negative(tags, dtype, first):
    found = module(image(dtype=dtype), VOILUTSequence=lut(2, -1024, 16, words(0, 65535)), **tags)
    assert found.voi[0][0].first_mapped == first


def test_behind_a_modality_table_the_first_value_is_unsigned():
    tables = {"ModalityLUTSequence": lut(2, 0, 16, words(0, 9)), "VOILUTSequence": lut(2, -1024, 16, words(0, 65535))}
    assert module(image(dtype="int16"), **tables).voi[0][0].first_mapped == 64512


def test_a_table_narrower_than_declared_has_the_bits_of_its_entries():
    found = module(VOILUTSequence=lut(3, 0, 16, words(0, 2048, 4095)))
    assert found.voi[0][0].bits == 12
    assert found.flags == ("lut_narrower_than_declared",)


@pytest.mark.parametrize("broken", [lut(4, 0, 16, b"\0\0"), lut(4, 0, 40, bytes(8)), Sequence([Dataset()])])
def test_a_table_that_does_not_fit_is_flagged_and_costs_no_image(broken):
    found = module(VOILUTSequence=broken)
    assert found.flags == ("bad_voi_lut",)
    assert found.voi == ((LookupTable(0, 16, ()),),)


def test_functional_groups_give_each_frame_its_window():
    pixels = np.zeros((2, 4, 6), np.uint16)
    each = module(
        pixels, PerFrameFunctionalGroupsSequence=of_frames((40, 400), (50, 500)), WindowCenter=1, WindowWidth=2
    )
    assert each.voi == ((Window(40, 400),), (Window(50, 500),))
    same = module(pixels, PerFrameFunctionalGroupsSequence=of_frames((40, 400), (40, 400)))
    shared = module(pixels, SharedFunctionalGroupsSequence=of_frames((40, 400)))
    assert same.voi == shared.voi == ((Window(40, 400),),)


def test_a_frame_without_a_window_of_its_own_has_the_shared_one():
    groups = of_frames((50, 500), (60, 600))
    del groups[1].FrameVOILUTSequence
    both = {"PerFrameFunctionalGroupsSequence": groups, "SharedFunctionalGroupsSequence": of_frames((40, 400))}
    assert module(np.zeros((2, 4, 6), np.uint16), **both).voi == ((Window(50, 500),), (Window(40, 400),))


def test_windows_of_two_of_three_frames_are_nobodys():
    found = module(np.zeros((3, 4, 6), np.uint16), PerFrameFunctionalGroupsSequence=of_frames((40, 400), (50, 500)))
    assert (found.voi, found.flags) == ((), ("functional_groups_differ_from_frames",))


def test_an_explanation_is_not_printed():
    assert "Doe" not in repr(module(WindowCenter=1, WindowWidth=2, WindowCenterWidthExplanation="Doe^Jane"))
