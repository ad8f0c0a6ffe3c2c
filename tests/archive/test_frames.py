import struct

import numpy as np
import pytest
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames

from medray.archive.frames import RLE_LOSSLESS, encapsulated_frames, frame_bits, native_frames
from medray.errors import Reason, SampleError

JPEG = "1.2.840.10008.1.2.4.50"
FRAMES = [b"\xff\xd8" + bytes([n]) * (20 + 2 * n) + b"\xff\xd9" for n in range(5)]


def split(data: bytes, frames: int = 5, syntax: str = JPEG, extended=None):
    flags: list[str] = []
    found = encapsulated_frames(memoryview(data), frames, syntax, extended=extended, flags=flags)
    return [frame if frame is None else bytes(frame) for frame in found], flags


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("fragments", [1, 3])
def test_fragments_become_the_frames_that_pydicom_makes(table, fragments):
    data = encapsulate(FRAMES, fragments_per_frame=fragments, has_bot=table) + b"\xfe\xff\xdd\xe0\0\0\0\0"
    found, flags = split(data)
    assert found == list(generate_frames(data, number_of_frames=5))
    assert [bytes(frame).rstrip(b"\0") for frame in found] == FRAMES and flags == []


def test_an_extended_offset_table_gives_starts_and_lengths():
    odd = [frame + b"x" for frame in FRAMES]
    data, offsets, _ = encapsulate_extended(odd)
    data += b"\xfe\xff\xdd\xe0\0\0\0\0"
    extended = struct.unpack("<5Q", offsets), tuple(map(len, odd))
    assert split(data, extended=extended) == (odd, [])
    assert split(data, extended=((0, 1, 2, 3, 4), extended[1]))[1] == ["offset_table_ignored"]


@pytest.mark.parametrize("offsets", [[0, 7, 14, 21, 28], [0, 0, 0, 0, 0], [0, 30]])
def test_a_wrong_offset_table_is_ignored_and_flagged(offsets):
    right = encapsulate(FRAMES, has_bot=False)
    data = b"\xfe\xff\x00\xe0" + struct.pack(f"<L{len(offsets)}L", 4 * len(offsets), *offsets) + right[8:]
    found, flags = split(data)
    assert found == FRAMES and "offset_table_ignored" in flags


def test_a_cut_last_fragment_loses_only_its_frame():
    found, flags = split(encapsulate(FRAMES, has_bot=False)[:-3])
    assert found == [*FRAMES[:4], None] and flags == ["pixels_truncated", "frames_missing"]


def test_fewer_fragments_than_frames_leave_the_last_missing():
    found, flags = split(encapsulate(FRAMES[:3], has_bot=False), frames=5)
    assert found == [*FRAMES[:3], None, None] and "frames_missing" in flags


def test_more_frames_than_the_header_says_are_left_out_and_flagged():
    found, flags = split(encapsulate(FRAMES, has_bot=False), frames=3)
    assert found == FRAMES[:3] and "extra_frames" in flags


def test_rle_frames_have_one_fragment_each():
    assert split(encapsulate(FRAMES[:2], has_bot=False), 1, RLE_LOSSLESS)[0] == FRAMES[:1]


def test_an_item_delimiter_inside_a_frame_does_not_end_it():
    frame = b"\xff\xd8" + b"\xfe\xff\xdd\xe0\0\0\0\0" * 3 + b"\xff\xd9"
    assert split(encapsulate([frame]), 1)[0] == [frame]


def test_no_fragment_at_all_is_pixels_missing():
    with pytest.raises(SampleError) as caught:
        split(b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0", 1)
    assert caught.value.reason is Reason.PIXELS_MISSING


def test_native_frames_are_slices_without_a_copy():
    data = memoryview(bytes(range(24)))
    flags: list[str] = []
    found = native_frames(data, 64, 3, flags)
    assert [bytes(frame) for frame in found] == [bytes(range(n, n + 8)) for n in (0, 8, 16)]
    assert all(frame.obj is data.obj for frame in found) and flags == []


@pytest.mark.parametrize(
    ("extra", "flag"), [(0, []), (1, ["odd_length"]), (2, ["odd_length"]), (9, ["extra_pixel_bytes"])]
)
def test_bytes_too_many_are_flagged(extra, flag):
    flags: list[str] = []
    native_frames(memoryview(bytes(24 + extra)), 64, 3, flags)
    assert flags == flag


def test_the_pad_byte_of_an_odd_length_is_no_fault():
    flags: list[str] = []
    native_frames(memoryview(bytes(28)), 27 * 8, 1, flags)
    assert flags == []


def test_whole_frames_stay_and_none_whole_is_refused_with_the_numbers():
    flags: list[str] = []
    found = native_frames(memoryview(bytes(20)), 64, 3, flags)
    assert [frame is None for frame in found] == [False, False, True] and flags == ["frames_missing"]
    with pytest.raises(SampleError, match="7 bytes where 24 are due") as caught:
        native_frames(memoryview(bytes(7)), 64, 3, [])
    assert caught.value.reason is Reason.PIXEL_LENGTH_MISMATCH


def test_one_bit_frames_each_begin_at_bit_zero():
    bits = np.random.default_rng(0).integers(0, 2, (4, 3, 7), dtype=np.uint8)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    for frame, expected in zip(native_frames(memoryview(packed), 21, 4, []), bits, strict=True):
        found = np.unpackbits(np.frombuffer(frame, np.uint8), bitorder="little")[:21]
        assert (found.reshape(3, 7) == expected).all()


def test_ybr_full_422_stores_two_thirds():
    assert frame_bits(10, 10, 3, 8, photometric="YBR_FULL_422") == 1600
    assert frame_bits(10, 10, 3, 8, photometric="YBR_FULL") == 2400
