"""Frames through imagecodecs: the fastest decoders, and the only ones that release the GIL."""

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np

from medray.archive.instance import PixelModule
from medray.errors import Reason, SampleError
from medray.pixels.codecs import Codec, Kind
from medray.pixels.codestream import Buffer, Codestream
from medray.pixels.htj2k import decode_htj2k
from medray.pixels.native import arrange_samples, sample_dtype

REFUSALS = (RuntimeError, ValueError, OverflowError)
"""What codecs raise on frames they cannot read; their own errors are RuntimeErrors."""

Encoded = Any
"""Bytes or a memoryview. Every codec takes both; the type stubs of imagecodecs know of bytes alone."""


def decode_first(
    frame: Buffer, pixels: PixelModule, codec: Codec, header: Codestream | None, *, ybr: bool
) -> np.ndarray:
    """The frame's samples as the codec gives them, (rows, columns[, samples]).

    Args:
        header: the codestream's; None for RLE and deflate.
        ybr: the JPEG holds YCbCr, to be converted to RGB within the codec; False = samples as they are.

    Raises:
        REFUSALS: the codec cannot read the frame.
    """
    if codec.kind == "rle":
        return _rle(frame, pixels)
    if codec.kind == "deflated_frame":
        return _deflated(frame, pixels)
    if codec.kind == "jpeg":
        return _jpeg(frame, header, ybr=ybr)
    if codec.kind == "htj2k" and header is not None:
        return decode_htj2k(frame, header)
    return _DECODERS[codec.kind](frame)


def _jpeg(frame: Encoded, header: Codestream | None, *, ybr: bool) -> np.ndarray:
    if header is None or header.components != 3:
        return imagecodecs.jpeg8_decode(frame)
    return imagecodecs.jpeg8_decode(frame, colorspace="YCBCR" if ybr else "RGB", outcolorspace="RGB")


def _jpeg2k(frame: Encoded) -> np.ndarray:
    return imagecodecs.jpeg2k_decode(frame, numthreads=1)


def _jpegxl(frame: Encoded) -> np.ndarray:
    return imagecodecs.jpegxl_decode(frame, numthreads=1)


def _rle(frame: Encoded, pixels: PixelModule) -> np.ndarray:
    """RLE comes out as colour planes, each little endian (PS3.5 G)."""
    dtype = sample_dtype(pixels)
    count = pixels.rows * pixels.columns * pixels.samples_per_pixel
    _check_segments(frame, pixels, dtype)
    decoded = imagecodecs.dicomrle_decode(frame, dtype, out=count * dtype.itemsize)
    if len(decoded) != count * dtype.itemsize:
        raise ValueError
    return arrange_samples(np.frombuffer(decoded, dtype), pixels, planar=True)


def _check_segments(frame: Encoded, pixels: PixelModule, dtype: np.dtype) -> None:
    """Refuse a frame whose RLE header has another number of segments than the samples have bytes."""
    said = pixels.samples_per_pixel * dtype.itemsize
    found = int.from_bytes(frame[:4], "little")
    if found != said:
        raise SampleError(Reason.CORRUPT_IMAGE, f"RLE frame has {min(found, 2**16)} segments, the header says {said}")


def _deflated(frame: Encoded, pixels: PixelModule) -> np.ndarray:
    dtype = sample_dtype(pixels)
    count = pixels.rows * pixels.columns * pixels.samples_per_pixel
    needed = -(-count // 8) if pixels.bits_allocated == 1 else count * dtype.itemsize
    raw = imagecodecs.deflate_decode(frame, raw=True, out=needed + needed % 2)
    if pixels.bits_allocated == 1:
        return arrange_samples(np.unpackbits(np.frombuffer(raw, np.uint8), count=count, bitorder="little"), pixels)
    return arrange_samples(np.frombuffer(raw, dtype, count), pixels)


_DECODERS: dict[Kind, Callable[[Encoded], np.ndarray]] = {
    "jpegls": imagecodecs.jpegls_decode,
    "jpeg2k": _jpeg2k,
    "jpegxl": _jpegxl,
}
