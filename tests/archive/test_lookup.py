import struct

import pytest
from pydicom.pixels.processing import _expand_segmented_lut

from medray.archive.elements import EXPLICIT_BIG, EXPLICIT_LITTLE
from medray.archive.headers import Header
from medray.archive.lookup import COLOURS, palette
from medray.errors import SampleError

WIDE = (0, 3, 10, 20, 30, 1, 4, 70, 2, 2, 0, 0, 0, 1, 99)  # discrete, linear to 70, both again, discrete


def header(descriptor: tuple[int, int, int], data: bytes, *, segmented: bool, coding=EXPLICIT_LITTLE) -> Header:
    order = "<" if coding.little else ">"
    values = {}
    for tag, plain, segments in COLOURS:
        values[tag] = struct.pack(f"{order}3H", *descriptor)
        values[segments if segmented else plain] = data
    return Header(b"", coding, values)


def test_a_segmented_palette_expands_as_pydicom_expands_it():
    expected = _expand_segmented_lut(WIDE, "<H")
    found = palette(header((len(expected), 0, 16), struct.pack(f"<{len(WIDE)}H", *WIDE), segmented=True))
    assert found.red.entries == tuple(expected) and len(expected) == 15


@pytest.mark.parametrize("coding", [EXPLICIT_LITTLE, EXPLICIT_BIG])
def test_eight_bit_entries_in_bytes_and_in_words_are_equal(coding):
    order = "<" if coding.little else ">"
    words = struct.pack(f"{order}4H", 1, 2, 3, 250)
    packed = struct.pack(f"{order}2H", 0x0201, 0xFA03)
    for data in (words, packed):
        found = palette(header((4, 0, 8), data, segmented=False, coding=coding)).blue
        assert (found.entries, found.bits) == ((1, 2, 3, 250), 8)


def test_zero_entries_mean_65536():
    found = palette(header((0, 0, 16), bytes(131072), segmented=False))
    assert len(found.green.entries) == 65536


def test_a_palette_wider_than_declared_is_flagged():
    source = header((2, 0, 8), struct.pack("<2H", 0, 65535), segmented=False)
    assert palette(source).red.bits == 16 and source.flags == ["lut_wider_than_declared"]


@pytest.mark.parametrize("data", [b"", bytes(3), struct.pack("<4H", 1, 65535, 9, 9), struct.pack("<4H", 7, 1, 0, 0)])
def test_a_palette_that_does_not_fit_is_refused(data):
    with pytest.raises(SampleError, match="unsupported_pixels"):
        palette(header((256, 0, 16), data, segmented=True))


def test_segments_never_expand_beyond_the_declared_entries():
    bomb = struct.pack("<H", 0) + struct.pack("<2H", 1, 5) + struct.pack("<3H", 1, 65535, 0) * 20_000
    assert len(palette(header((300, 0, 16), bomb, segmented=True)).red.entries) == 300
