"""Size and depth of PNG, JPEG and TIFF, from their headers alone.

Source: PNG (ISO/IEC 15948) 11.2.2 and 11.3.4.3; JPEG (ITU-T T.81) B.2.2; TIFF 6.0 section 2 and 8; BigTIFF.
"""

import struct
from typing import Any

from medray.archive.instance import JPEG, PNG, TIFF
from medray.archive.sources import Source
from medray.errors import Reason, SampleError

Fields = dict[str, Any]

PNG_SAMPLES = {0: 1, 2: 3, 3: 3, 4: 1, 6: 3}
WITHOUT_ALPHA = {2: 1, 4: 3}
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
JPEG_SEGMENTS_AT_MOST = 4096
TIFF_TYPES = {1: "B", 3: "H", 4: "L", 16: "Q", 5: "LL"}
TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 16: 8}
TIFF_COLOURS = {0: "MONOCHROME1", 1: "MONOCHROME2", 2: "RGB", 3: "PALETTE COLOR", 6: "RGB"}
TIFF_PAGES_AT_MOST = 65536
CMYK = 5
WIDTH, LENGTH, BITS, PHOTOMETRIC, SAMPLES, SUBFILE = 256, 257, 258, 262, 277, 254
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, SAMPLE_FORMAT = 282, 283, 296, 339
MM_PER_UNIT = {2: 25.4, 3: 10.0}


def image_fields(source: Source, format: str) -> Fields:
    """The columns of schema.INDEX that the header of a PNG, JPEG or TIFF fills, as its decoded pixels will be.

    Palettes of PNG count as RGB, and alpha does not count as a sample (flagged).

    Raises:
        SampleError: corrupt_header.
    """
    try:
        return {"png": _png, "jpeg": _jpeg, "tiff": _tiff}[format](source)
    except (struct.error, IndexError, KeyError, ZeroDivisionError):
        raise SampleError(Reason.CORRUPT_HEADER, format) from None


def _fields(media: str, rows: int, columns: int, samples: int, bits: int, **more: Any) -> Fields:
    if rows < 1 or columns < 1 or samples < 1 or not 1 <= bits <= 64:
        raise SampleError(Reason.CORRUPT_HEADER, f"{rows} x {columns} pixels, {samples} samples of {bits} bits")
    fields = {
        "transfer_syntax_uid": media,
        "rows": rows,
        "columns": columns,
        "frames": 1,
        "samples_per_pixel": samples,
        "bits_allocated": max(8, (bits + 7) // 8 * 8),
        "bits_stored": bits,
        "high_bit": bits - 1,
        "pixel_representation": 0,
        "photometric_interpretation": "MONOCHROME2" if samples < 3 else "RGB",
        "flags": [],
    }
    return fields | more


def _resolution(rows_per_mm: float, columns_per_mm: float) -> Fields:
    return {
        "row_spacing_mm": 1 / rows_per_mm,
        "column_spacing_mm": 1 / columns_per_mm,
        "spacing_source": "resolution",
    }


def _png(source: Source) -> Fields:
    head = source.read(0, 4096)
    columns, rows, depth, colour = struct.unpack_from(">LLBB", head, 16)
    if head[12:16] != b"IHDR":
        raise KeyError("IHDR")
    more: Fields = {}
    position = 33
    while position + 8 <= len(head) and head[position + 4 : position + 8] != b"IDAT":
        length, kind = struct.unpack_from(">L4s", head, position)
        if kind == b"pHYs":
            across, down, unit = struct.unpack_from(">LLB", head, position + 8)
            more = _resolution(down / 1000, across / 1000) if unit == 1 and across and down else {}
        position += length + 12
    if colour in (4, 6):
        more["flags"] = ["alpha"]
    return _fields(PNG, rows, columns, PNG_SAMPLES[colour], 8 if colour == 3 else depth, **more)


def _jpeg(source: Source) -> Fields:
    position = 2
    for _ in range(JPEG_SEGMENTS_AT_MOST):
        segment = source.read(position, 16)
        marker = segment[1]
        if segment[0] != 0xFF:
            raise KeyError("marker")
        if marker in JPEG_FRAMES:
            bits, rows, columns, samples = struct.unpack_from(">BHHB", segment, 4)
            return _fields(JPEG, rows, columns, samples, bits)
        if marker in (0xD9, 0xDA):
            break
        alone = marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8
        position += (1 if marker == 0xFF else 2) if alone else 2 + struct.unpack_from(">H", segment, 2)[0]
    raise SampleError(Reason.CORRUPT_HEADER, "no frame header")


def _tiff(source: Source) -> Fields:
    head = source.read(0, 16)
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", head, 2)[0] == 43
    following = struct.unpack_from(f"{order}Q" if big else f"{order}L", head, 8 if big else 4)[0]
    pages: list[Fields] = []
    seen: set[int] = set()
    while following and following not in seen and len(seen) < TIFF_PAGES_AT_MOST:
        seen.add(following)
        try:
            tags, following = _directory(source, following, order, big, whole=not pages)
        except struct.error:
            if not pages:
                raise
            pages[0]["flags"] = ["pages_missing"]
            break
        pages += [_tiff_page(tags) if not pages else {}]
    if not pages:
        raise KeyError("directory")
    return pages[0] | {"frames": len(pages)}


def _directory(source: Source, position: int, order: str, big: bool, whole: bool) -> tuple[dict[int, Any], int]:
    """Tags of one image file directory (none unless `whole`), and where the next one is."""
    count_format, entry_size = (f"{order}Q", 20) if big else (f"{order}H", 12)
    width = struct.calcsize(count_format)
    count = struct.unpack(count_format, source.read(position, width))[0]
    if count > 4096:
        raise struct.error("directory")
    pointer = f"{order}Q" if big else f"{order}L"
    body = source.read(position + width, count * entry_size + struct.calcsize(pointer))
    following = struct.unpack_from(pointer, body, count * entry_size)[0]
    tags = {}
    for start in range(0, count * entry_size if whole else 0, entry_size):
        tag, kind = struct.unpack_from(f"{order}HH", body, start)
        number = struct.unpack_from(pointer, body, start + 4)[0]
        inline = 8 if big else 4
        value = body[start + 4 + inline : start + 4 + 2 * inline]
        if kind in TIFF_TYPES and number <= 16:
            size = TIFF_SIZES[kind] * number
            raw = value[:size] if size <= inline else source.read(struct.unpack(pointer, value)[0], size)
            tags[tag] = struct.unpack(f"{order}{TIFF_TYPES[kind] * number}", raw)
    return tags, following


def _tiff_page(tags: dict[int, Any]) -> Fields:
    found = tags.get(SAMPLES, (1,))[0]
    alpha = found in WITHOUT_ALPHA and tags.get(PHOTOMETRIC, (1,))[0] != CMYK
    samples = WITHOUT_ALPHA[found] if alpha else found
    kind = tags.get(SAMPLE_FORMAT, (1,))[0]
    colour = TIFF_COLOURS.get(tags.get(PHOTOMETRIC, (1,))[0], "MONOCHROME2" if samples < 3 else "RGB")
    more: Fields = {"photometric_interpretation": colour, "pixel_representation": int(kind == 2)}
    more["flags"] = ["alpha"] * alpha + ["float_samples"] * (kind == 3)
    across, down = tags.get(X_RESOLUTION, (0, 1)), tags.get(Y_RESOLUTION, (0, 1))
    unit = MM_PER_UNIT.get(tags.get(RESOLUTION_UNIT, (2,))[0])
    if unit and all((*across, *down)):
        more |= _resolution(down[0] / down[1] / unit, across[0] / across[1] / unit)
    return _fields(TIFF, tags[LENGTH][0], tags[WIDTH][0], samples, tags.get(BITS, (1,))[0], **more)
