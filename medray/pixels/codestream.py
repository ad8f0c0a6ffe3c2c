"""What a compressed frame says about itself, read before anything is allocated for it.

Source: ITU-T T.81 B.2 (JPEG), T.87 C.2 (JPEG-LS), T.800 A.5 and A.6 (JPEG 2000), ISO/IEC 18181-1 D.2 (JPEG XL).
"""

import struct
from dataclasses import dataclass
from typing import Literal

from medray.errors import Reason, SampleError
from medray.pixels.codecs import Kind

Buffer = bytes | memoryview

_RGB_IDS = (b"RGB", b"rgb")
_NO_LENGTH = {0x01, *range(0xD0, 0xD9)}
_FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True)
class Codestream:
    """The header of a compressed frame.

    Attributes:
        bits: precision of a sample; None where the header is not read that far (JPEG XL).
        signed: samples are two's complement (only JPEG 2000 can say so).
        colour: what an APP0, APP14 or component identifier says of three components; None where nothing does.
        reversible: nothing is lost (JPEG 2000: 5-3 wavelet).
    """

    rows: int
    columns: int
    components: int | None
    bits: int | None
    signed: bool = False
    colour: Literal["rgb", "ybr"] | None = None
    reversible: bool = True


def read_codestream(frame: Buffer, kind: Kind) -> Codestream | None:
    """The header of the frame's codestream; None for kinds that have none (RLE, deflate).

    Raises:
        SampleError: `decode_failed` where there is no header.
    """
    reader = {
        "jpeg": read_jpeg_header,
        "jpegls": read_jpeg_header,
        "jpeg2k": read_jpeg2k_header,
        "htj2k": read_jpeg2k_header,
        "jpegxl": read_jpegxl_header,
    }.get(kind)
    if reader is None:
        return None
    try:
        return reader(frame)
    except (struct.error, IndexError, ValueError):
        raise SampleError(Reason.DECODE_FAILED, f"no {kind} codestream header in {len(frame)} bytes") from None


def is_whole(frame: Buffer) -> bool:
    """The end marker (EOI or EOC, both FF D9) stands at the end, padding aside: the frame was not cut."""
    return b"\xff\xd9" in bytes(frame[-4096:])


def read_jpeg_header(frame: Buffer) -> Codestream:
    """The frame header (SOF) of JPEG or JPEG-LS and the colour markers before it.

    Raises:
        ValueError, IndexError, struct.error: no frame header.
    """
    if bytes(frame[:2]) != b"\xff\xd8":
        raise ValueError
    colour: Literal["rgb", "ybr"] | None = None
    position = 2
    while True:
        if frame[position] != 0xFF:
            raise ValueError
        marker = frame[position + 1]
        if marker == 0xFF or marker in _NO_LENGTH:
            position += 1 if marker == 0xFF else 2
            continue
        length = struct.unpack_from(">H", frame, position + 2)[0]
        if marker in _FRAME_HEADERS:
            return _frame_header(frame, position + 4, colour)
        if colour is None and marker in (0xE0, 0xEE):
            colour = _colour_marker(bytes(frame[position + 4 : position + 2 + length]))
        position += 2 + length


def _frame_header(frame: Buffer, position: int, colour: Literal["rgb", "ybr"] | None) -> Codestream:
    bits, rows, columns, components = struct.unpack_from(">BHHB", frame, position)
    if components == 3 and bytes(frame[position + 6 : position + 15 : 3]) in _RGB_IDS:
        colour = "rgb"
    return Codestream(rows, columns, components, bits, colour=colour if components == 3 else None)


def _colour_marker(segment: bytes) -> Literal["ybr"] | None:
    """JFIF is YCbCr by definition; Adobe's transform byte says so with 1. Its 0 is written too often to be trusted."""
    adobe_transform = segment[11] if segment.startswith(b"Adobe") and len(segment) > 11 else 0
    return "ybr" if segment.startswith(b"JFIF\0") or adobe_transform == 1 else None


def read_jpeg2k_header(frame: Buffer) -> Codestream:
    """The SIZ and COD segments of a JPEG 2000 codestream, bare or in a JP2 file.

    Raises:
        ValueError, IndexError, struct.error: no codestream.
    """
    start = 0 if bytes(frame[:4]) == b"\xff\x4f\xff\x51" else bytes(frame[:65536]).index(b"\xff\x4f\xff\x51")
    columns, rows, left, top = struct.unpack_from(">IIII", frame, start + 8)
    components, ssiz = struct.unpack_from(">HB", frame, start + 40)
    position = start + 2
    while frame[position] == 0xFF and frame[position + 1] not in (0x52, 0x90):
        position += 2 + struct.unpack_from(">H", frame, position + 2)[0]
    has_cod = frame[position] == 0xFF and frame[position + 1] == 0x52
    return Codestream(
        rows - top,
        columns - left,
        components,
        (ssiz & 0x7F) + 1,
        signed=bool(ssiz & 0x80),
        reversible=has_cod and frame[position + 13] == 1,
    )


def read_jpegxl_header(frame: Buffer) -> Codestream:
    """The size header of a JPEG XL codestream, bare or in a container.

    Raises:
        ValueError, IndexError: no codestream.
    """
    head = bytes(frame[:4096])
    if head.startswith(b"\xff\x0a"):
        start = 2
    else:
        box = head.index(b"jxl", 12 + 8)
        start = head.index(b"\xff\x0a", box) + 2
    bits = _Bits(head[start : start + 12])
    small = bits.take(1) == 1
    rows = _jpegxl_size(bits, small=small)
    wide, high = ((0, 0), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))[bits.take(3)]
    columns = rows * wide // high if high else _jpegxl_size(bits, small=small)
    return Codestream(rows, columns, None, None, reversible=False)


def _jpegxl_size(bits: "_Bits", *, small: bool) -> int:
    if small:
        return 8 * (bits.take(5) + 1)
    return 1 + bits.take((9, 13, 18, 30)[bits.take(2)])


class _Bits:
    """Bits of a byte string, least significant first."""

    def __init__(self, data: bytes) -> None:
        self.value, self.left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        if count > self.left:
            raise ValueError
        taken = self.value & ((1 << count) - 1)
        self.value, self.left = self.value >> count, self.left - count
        return taken
