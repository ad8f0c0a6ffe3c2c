"""Which transfer syntax a compressed frame is in, by its markers.

Source: ITU-T T.81 B.1.1.3 (JPEG), T.87 C.1.1 (JPEG-LS), T.800 A.2 (JPEG 2000), T.814 A.3 (HTJ2K: CAP marker).
"""

import struct

from medray.archive.elements import ITEM
from medray.archive.frames import RLE_LOSSLESS

NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")
GE_PRIVATE_BIG_ENDIAN = "1.2.840.113619.5.2"
JPEG = {0xC0: "1.2.840.10008.1.2.4.50", 0xC1: "1.2.840.10008.1.2.4.51", 0xC2: "1.2.840.10008.1.2.4.55"}
JPEG_LOSSLESS_SV1, JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.57"
JPEG_LS = "1.2.840.10008.1.2.4.81"
JPEG_2000, HTJ2K = "1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203"


def native_syntax(transfer_syntax_uid: str) -> bool:
    """Whether pixel data of this syntax are uncompressed."""
    return transfer_syntax_uid in NATIVE


def sniffed_syntax(encapsulated: memoryview) -> str | None:
    """The transfer syntax of the first fragment; of lossy and lossless twins the general one."""
    try:
        group, element, length = struct.unpack_from("<HHL", encapsulated)
        first = bytes(encapsulated[8 + length + 8 : 8 + length + 8 + 65536])
    except struct.error:
        return None
    if group << 16 | element != ITEM:
        return None
    if first.startswith((b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")):
        return HTJ2K if b"\xff\x50" in first[:256] else JPEG_2000
    if len(first) > 64 and 1 <= int.from_bytes(first[:4], "little") <= 15 and first[4:8] == b"\x40\0\0\0":
        return RLE_LOSSLESS  # PS3.5 G.5: number of segments, and the first begins after the header of 64 bytes
    return _jpeg(first) if first.startswith(b"\xff\xd8\xff") else None


def _jpeg(stream: bytes) -> str | None:
    position, lossless = 2, False
    while position + 10 <= len(stream) and stream[position] == 0xFF:
        marker = stream[position + 1]
        length = struct.unpack_from(">H", stream, position + 2)[0]
        if marker in JPEG:
            return JPEG[marker]
        if marker == 0xF7:
            return JPEG_LS
        if marker == 0xDA and lossless:
            predictor = stream[position + 5 + 2 * stream[position + 4]]
            return JPEG_LOSSLESS_SV1 if predictor == 1 else JPEG_LOSSLESS
        lossless = lossless or marker == 0xC3
        position += 2 + length
    return None
