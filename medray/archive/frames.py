"""Pixel data split into frames, as stored: native frames by size, compressed ones by fragments and offset tables.

Source: DICOM PS3.5 8.1.1 (native), A.4 (encapsulated), PS3.3 C.7.6.3.1.8 (Extended Offset Table).
"""

import struct
from collections.abc import Sequence

import numpy as np

from medray.archive.elements import ITEM, SEQUENCE_END, UNDEFINED
from medray.errors import Reason, SampleError

Frame = bytes | memoryview | None
Fragments = list[tuple[int, memoryview | None]]

RLE_LOSSLESS = "1.2.840.10008.1.2.5"
END_OF_IMAGE = b"\xff\xd9"


def frame_bits(rows: int, columns: int, samples: int, bits_allocated: int, *, photometric: str) -> int:
    """Bits of one native frame. YBR_FULL_422 stores two of three samples (PS3.3 C.7.6.3.1.2)."""
    if photometric == "YBR_FULL_422" and samples == 3:
        samples = 2
    return rows * columns * samples * bits_allocated


def native_frames(data: memoryview, bits: int, frames: int, flags: list[str]) -> tuple[Frame, ...]:
    """Frames of `bits` bits each; None for those that the data do not hold whole.

    Frames of 1-bit pixels follow each other without padding; here each begins at bit 0 of bytes of its own.

    Raises:
        SampleError: pixel_length_mismatch where not one frame is whole.
    """
    expected = -(-bits * frames // 8)
    whole = min(frames, len(data) * 8 // bits)
    if not whole:
        raise SampleError(Reason.PIXEL_LENGTH_MISMATCH, f"{len(data)} bytes where {expected} are due")
    if whole < frames:
        flags.append("frames_missing")
    elif len(data) > expected + expected % 2:
        flags.append("odd_length" if len(data) - expected <= 2 else "extra_pixel_bytes")
    if bits % 8 == 0:
        size = bits // 8
        found: list[Frame] = [data[size * frame : size * (frame + 1)] for frame in range(whole)]
    else:
        found = [_aligned(data, bits * frame, bits) for frame in range(whole)]
    return (*found, *[None] * (frames - whole))


def _aligned(data: memoryview, start: int, bits: int) -> bytes:
    span = np.frombuffer(data[start // 8 : -(-(start + bits) // 8)], np.uint8)
    unpacked = np.unpackbits(span, bitorder="little")[start % 8 : start % 8 + bits]
    return np.packbits(unpacked, bitorder="little").tobytes()


def encapsulated_frames(
    data: memoryview,
    frames: int,
    syntax: str,
    *,
    extended: tuple[Sequence[int], Sequence[int]] | None,
    flags: list[str],
) -> tuple[Frame, ...]:
    """Frames of encapsulated pixel data, fragments joined; None for those missing or cut.

    An offset table counts only where each offset is the start of a fragment; else (flagged) the number of fragments
    and the end-of-image markers tell the frames apart.

    Args:
        data: from the item of the Basic Offset Table on.
        extended: offsets and lengths of the Extended Offset Table, if the object has one.

    Raises:
        SampleError: pixels_missing without a single fragment.
    """
    table, fragments = _fragments(data, flags)
    if not fragments:
        raise SampleError(Reason.PIXELS_MISSING, "encapsulated pixel data without a fragment")
    offsets = list(extended[0]) if extended else table
    starts = {start for start, _ in fragments}
    if offsets and (len(offsets) != frames or not starts.issuperset(offsets) or sorted(set(offsets)) != offsets):
        flags.append("offset_table_ignored")
        offsets = []
    groups = _by_offsets(fragments, offsets) if offsets else _by_count(fragments, frames, syntax)
    joined = [_join(group) for group in groups[:frames]]
    if extended and offsets and len(extended[1]) == frames:
        joined = [part and part[:length] for part, length in zip(joined, extended[1], strict=True)]
    if len(groups) > frames:
        flags.append("extra_frames")
    if len(groups) < frames or None in joined:
        flags.append("frames_missing")
    return (*joined, *[None] * (frames - len(joined)))


def _fragments(data: memoryview, flags: list[str]) -> tuple[list[int], Fragments]:
    """The Basic Offset Table, and (offset from the first fragment's item, bytes; None where cut) of each fragment."""
    table: list[int] = []
    fragments: Fragments = []
    position, first = 0, -1
    while position + 8 <= len(data):
        group, element, length = struct.unpack_from("<HHL", data, position)
        tag = group << 16 | element
        if tag != ITEM or length == UNDEFINED:
            if tag != SEQUENCE_END:
                flags.append("fragments_damaged")
            return table, fragments
        body = data[position + 8 : position + 8 + length]
        if first < 0:
            table = list(struct.unpack_from(f"<{len(body) // 4}L", body))
            first = position + 8 + length
        else:
            fragments.append((position - first, body if len(body) == length else None))
        position += 8 + length
    flags.append("sequence_delimiter_missing" if position == len(data) else "pixels_truncated")
    return table, fragments


def _by_offsets(fragments: Fragments, offsets: list[int]) -> list[list[memoryview | None]]:
    groups: list[list[memoryview | None]] = []
    begins = set(offsets)
    for start, body in fragments:
        if start in begins:
            groups.append([])
        if groups:
            groups[-1].append(body)
    return groups


def _by_count(fragments: Fragments, frames: int, syntax: str) -> list[list[memoryview | None]]:
    bodies = [body for _, body in fragments]
    if frames == 1 and syntax != RLE_LOSSLESS:
        return [bodies]
    if len(bodies) <= frames or syntax == RLE_LOSSLESS:
        return [[body] for body in bodies]
    groups: list[list[memoryview | None]] = [[]]
    for body in bodies:
        groups[-1].append(body)
        if body is not None and END_OF_IMAGE in bytes(body[-10:]):
            groups.append([])
    return groups if groups[-1] else groups[:-1]


def _join(group: list[memoryview | None]) -> Frame:
    if None in group:
        return None
    bodies = [body for body in group if body is not None]
    return bodies[0] if len(bodies) == 1 else b"".join(bodies)
