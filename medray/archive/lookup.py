"""Modality, VOI and palette lookup tables, read exactly: 8-bit tables packed or in words, segmented palettes expanded.

Source: DICOM PS3.3 C.11.1.1.1 and C.11.2.1.1 (LUT Descriptor, LUT Data), C.7.6.3.1.5 (palettes), C.7.9.2 (segmented
palettes).
"""

import struct
from dataclasses import replace

from medray.archive.headers import Header
from medray.archive.instance import LookupTable, Palette
from medray.archive.values import text
from medray.errors import Reason, SampleError

MODALITY_LUT_SEQUENCE, LUT_DESCRIPTOR, LUT_DATA = 0x00283000, 0x00283002, 0x00283006
LUT_EXPLANATION = 0x00283003
COLOURS = ((0x00281101, 0x00281201, 0x00281221), (0x00281102, 0x00281202, 0x00281222), (0x281103, 0x281203, 0x281223))
PALETTE_TAGS = frozenset(tag for colour in COLOURS for tag in colour)


def modality_lut(header: Header, pixel_representation: int) -> LookupTable | None:
    """The Modality LUT of the header; None where it has none.

    Raises:
        SampleError: unsupported_pixels where descriptor and data do not fit.
    """
    if MODALITY_LUT_SEQUENCE not in header.values and MODALITY_LUT_SEQUENCE not in header.nested:
        return None
    for item in header.items(MODALITY_LUT_SEQUENCE):
        return _table(item, LUT_DESCRIPTOR, item.values.get(LUT_DATA), signed=pixel_representation == 1)
    return None


def voi_lut(item: Header, *, signed: bool) -> LookupTable:
    """The table of an item of the VOI LUT Sequence; without entries, flagged, where it cannot be used.

    Some devices declare 16 bits for entries of 12, which would be shown nearly black: the bits that the largest entry
    needs then count, flagged.

    Args:
        signed: the values to look up can be negative.
    """
    explanation = text(item, LUT_EXPLANATION)
    try:
        table = _table(item, LUT_DESCRIPTOR, item.values.get(LUT_DATA), signed=signed)
    except SampleError:
        item.flag("bad_voi_lut")
        return LookupTable(0, 16, (), explanation)
    needed = max(8, max(table.entries).bit_length())
    if needed < table.bits:
        item.flag("lut_narrower_than_declared")
    return replace(table, bits=min(needed, table.bits), explanation=explanation)


def palette(header: Header) -> Palette:
    """The palette of a PALETTE COLOR image.

    Raises:
        SampleError: unsupported_pixels where one of its tables is missing or does not fit.
    """
    tables = []
    for descriptor, plain, segmented in COLOURS:
        data = header.values.get(plain)
        if not data and segmented in header.values:
            data = _expanded(header, descriptor, header.values[segmented])
        tables.append(_table(header, descriptor, data, signed=False))
    return Palette(*tables)


def _words(header: Header, raw: bytes, signed: bool = False) -> tuple[int, ...]:
    kind = f"{'<' if header.coding.little else '>'}{len(raw) // 2}{'h' if signed else 'H'}"
    return struct.unpack_from(kind, raw)


def _descriptor(header: Header, tag: int, signed: bool) -> tuple[int, int, int]:
    """Entries, first stored value mapped, bits an entry."""
    raw = header.values.get(tag, b"")
    if len(raw) != 6:
        raise SampleError(Reason.UNSUPPORTED_PIXELS, f"LUT descriptor of {len(raw)} bytes")
    entries, first, bits = _words(header, raw)
    return entries or 65536, first - 65536 if signed and first >= 32768 else first, bits


def _table(header: Header, descriptor: int, data: bytes | None, *, signed: bool) -> LookupTable:
    entries, first, bits = _descriptor(header, descriptor, signed)
    data = data or b""
    if not 8 <= bits <= 16:
        raise SampleError(Reason.UNSUPPORTED_PIXELS, f"LUT of {bits} bits an entry")
    if len(data) >= 2 * entries:
        values = _words(header, data)[:entries]
    elif bits == 8 and len(data) >= entries:
        values = tuple(_bytes_in_order(header, data)[:entries])
    else:
        raise SampleError(Reason.UNSUPPORTED_PIXELS, f"LUT of {entries} entries in {len(data)} bytes")
    if max(values) >= 2**bits:
        header.flag("lut_wider_than_declared")
        bits = 16
    return LookupTable(first, bits, values)


def _bytes_in_order(header: Header, data: bytes) -> bytes:
    """Bytes packed in words of big endian stand swapped."""
    if header.coding.little:
        return data
    return struct.pack(f"<{len(data) // 2}H", *struct.unpack_from(f">{len(data) // 2}H", data))


def _expanded(header: Header, descriptor: int, data: bytes) -> bytes:
    entries, _, bits = _descriptor(header, descriptor, signed=False)
    values = _words(header, data) if bits > 8 else tuple(_bytes_in_order(header, data))
    table: list[int] = []
    try:
        _expand(values, (0, len(values)), table, entries, wide=bits > 8)
    except IndexError:
        raise SampleError(Reason.UNSUPPORTED_PIXELS, "segmented palette") from None
    return struct.pack(f"{'<' if header.coding.little else '>'}{len(table)}H", *table)


def _expand(values: tuple[int, ...], run: tuple[int, int], table: list[int], entries: int, *, wide: bool) -> None:
    """Append segments to `table` until it has its entries. `run` is the first value and how many segments at most.

    Source: DICOM PS3.3 C.7.9.2.1 (discrete), C.7.9.2.2 (linear), C.7.9.2.3 (indirect; its offset counts bytes).
    """
    position, segments = run
    while position + 1 < len(values) and len(table) < entries and segments > 0:
        opcode, length = values[position : position + 2]
        position, segments = position + 2, segments - 1
        if opcode == 0:
            table.extend(values[position : position + min(length, entries - len(table))])
            position += length
        elif opcode == 1:
            start, end = table[-1], values[position]
            count = min(length, entries - len(table))
            table.extend(start + round((end - start) * step / length) for step in range(1, count + 1))
            position += 1
        elif opcode == 2 and run == (0, len(values)):
            words = values[position : position + (2 if wide else 4)]
            offset = sum(word << (16 if wide else 8) * n for n, word in enumerate(words))
            _expand(values, (offset // 2 if wide else offset, length), table, entries, wide=wide)
            position += len(words)
        else:
            raise SampleError(Reason.UNSUPPORTED_PIXELS, f"segment {opcode} of a palette")
