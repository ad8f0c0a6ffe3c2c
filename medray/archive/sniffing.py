"""What an object is, by its first bytes. Names and extensions say nothing."""

import struct
import zlib

from medray.archive.elements import VALUE_REPRESENTATIONS

SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0\x08\0\0\0", "tiff"),
    (b"MM\0+\0\x08\0\0", "tiff"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
)
COMPRESSED = ("gzip", "bzip2", "xz", "zstd", "7z", "rar")
FIRST_GROUPS = (0x0002, 0x0008)
FIRST_ELEMENT_AT_MOST = 0x1000
BYTES_NEEDED = 1024


def sniff(head: bytes) -> str | None:
    """The format that the first 1024 bytes show: `dicom`, `dicom_bare` (no preamble), `png`, `tar` … or None."""
    if head[128:132] == b"DICM":
        return "dicom"
    for signature, name in SIGNATURES:
        if head.startswith(signature):
            return name
    if _is_tar(head):
        return "tar"
    return "dicom_bare" if _is_bare_dicom(head) else None


def inside_gzip(head: bytes) -> str | None:
    """The format of a gzip stream's content."""
    try:
        return sniff(zlib.decompressobj(31).decompress(head, BYTES_NEEDED))
    except zlib.error:
        return None


def _is_tar(head: bytes) -> bool:
    if len(head) < 512 or not head[0]:
        return False
    if head[257:262] == b"ustar":
        return True
    digits = head[148:156].strip(b"\0 ")
    if not digits or not all(48 <= digit < 56 for digit in digits):
        return False
    return int(digits, 8) == sum(head[:148]) + 256 + sum(head[156:512])


def _is_bare_dicom(head: bytes) -> bool:
    """Two plausible data elements in order, the first of group 0002 or 0008."""
    for order in "<", ">":
        first = _element(head, 0, order)
        if first is None or first[0] >> 16 not in FIRST_GROUPS:
            continue
        second = _element(head, first[1], order)
        if second is not None and first[0] < second[0] <= 0x7FE00010:
            return True
    return False


def _element(head: bytes, position: int, order: str) -> tuple[int, int] | None:
    """(tag, position of the next element), where an element of sane length can stand here."""
    if position + 12 > len(head):
        return None
    group, element, vr, short = struct.unpack_from(f"{order}HH2sH", head, position)
    if vr in VALUE_REPRESENTATIONS:
        length, start = short, position + 8
        if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"UC", b"UR"):
            (length,), start = struct.unpack_from(f"{order}L", head, position + 8), position + 12
    elif order == "<":
        (length,), start = struct.unpack_from("<L", head, position + 4), position + 8
    else:
        return None
    return (group << 16 | element, start + length) if length <= FIRST_ELEMENT_AT_MOST else None
