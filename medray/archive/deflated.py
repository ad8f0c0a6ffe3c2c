"""Deflated data sets. Source: DICOM PS3.5 A.5.

zlib inflates as far as it is asked; libdeflate is two to three times as fast, but must know the size beforehand. The
header tells it: it ends where the pixel data begin, and they say how long they are.
"""

import zlib

from medray.archive.elements import EXPLICIT_LITTLE, UNDEFINED, CutShortError, RefusedError, walk

INFLATED_AT_MOST = 2**31
INFLATED_HEADER = 16 * 2**20
RATIO_AT_MOST = 1032  # deflate can do no better
FIRST_BYTES = 32 * 2**10
TRAILING_BYTES = 4096  # room for padding and signatures after the pixel data
PIXELS = 0x7FE00008


def inflate_dataset(data: bytes, whole: bool) -> tuple[bytes, bool]:
    """The data set, and whether it is all of it. A header-only read inflates no more than a header can be long.

    Raises:
        RefusedError: no deflate stream.
    """
    if whole and (inflated := _inflate_at_once(data)) is not None:
        return inflated, True
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = stream.decompress(data, INFLATED_AT_MOST if whole else INFLATED_HEADER)
    except zlib.error:
        raise RefusedError("deflate stream") from None
    return inflated, stream.eof or (whole and not stream.unconsumed_tail)


def _inflate_at_once(data: bytes) -> bytes | None:
    """By libdeflate; None where the size cannot be known, or the stream holds another size."""
    import imagecodecs  # headers alone need none

    size = _dataset_bytes(data)
    if not 0 < size <= min(INFLATED_AT_MOST, RATIO_AT_MOST * len(data)):
        return None
    try:
        inflated = imagecodecs.deflate_decode(data, raw=True, out=size + TRAILING_BYTES)
    except RuntimeError:  # cut, or with long elements after the pixel data
        return None
    return bytes(inflated) if len(inflated) >= size else None


def _dataset_bytes(data: bytes) -> int:
    """Size of a data set up to the end of its pixel data, by its first bytes; 0 where they do not say."""
    try:
        head = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, FIRST_BYTES)
        end = walk(head, 0, EXPLICIT_LITTLE, values={}, wanted=frozenset(), below=PIXELS)
    except (zlib.error, CutShortError, RefusedError):
        return 0
    return 0 if end.tag is None or end.length == UNDEFINED else end.start + end.length
