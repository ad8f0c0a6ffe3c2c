"""Frames that are not compressed. Source: DICOM PS3.5 8.1 and 8.2, PS3.3 C.7.6.3.1.2 (YBR_FULL_422)."""

import numpy as np
from jaxtyping import Shaped

from medray.archive.instance import PixelModule
from medray.errors import Reason, SampleError

Buffer = bytes | memoryview
Array = Shaped[np.ndarray, "rows columns *samples"]


def sample_dtype(pixels: PixelModule, *, big_endian: bool = False) -> np.dtype:
    """The type of a stored value as it lies in a native frame.

    Raises:
        SampleError: `unsupported_pixels` for Bits Allocated (0028,0100) other than 1, 8, 16, 32 and 64.
    """
    kind, bits = "i" if pixels.pixel_representation == 1 else "u", pixels.bits_allocated
    if pixels.float_bits is not None:
        kind, bits = "f", int(pixels.float_bits)
    elif bits == 1:
        kind, bits = "u", 8
    if bits not in (8, 16, 32, 64):
        raise SampleError(Reason.UNSUPPORTED_PIXELS, f"Bits Allocated (0028,0100) is {bits}")
    return np.dtype(f"{'>' if big_endian else '<'}{kind}{bits // 8}")


def native_frame(frame: Buffer, pixels: PixelModule, *, big_endian: bool) -> tuple[Array, tuple[str, ...]]:
    """A native frame as (rows, columns[, samples]) and flags. The array may look into `frame`: it is read-only.

    Raises:
        SampleError: `pixel_length_mismatch` where the frame is too short; `unsupported_pixels` for pairs of chroma
            (YBR_FULL_422) in odd columns.
    """
    dtype = sample_dtype(pixels, big_endian=big_endian)
    subsampled = pixels.photometric_interpretation == "YBR_FULL_422" and pixels.samples_per_pixel == 3
    count = pixels.rows * pixels.columns * (2 if subsampled else pixels.samples_per_pixel)
    needed = -(-count // 8) if pixels.bits_allocated == 1 else count * dtype.itemsize
    if len(frame) < needed:
        raise SampleError(Reason.PIXEL_LENGTH_MISMATCH, f"the frame has {len(frame)} bytes, the header says {needed}")
    flags = ("extra_bytes",) if len(frame) > needed + needed % 2 else ()
    if pixels.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(frame, np.uint8, needed), count=count, bitorder="little")
        return arrange_samples(bits, pixels), flags
    values = np.frombuffer(frame, dtype, count).astype(dtype.newbyteorder("="), copy=False)
    return (_upsample_422(values, pixels) if subsampled else arrange_samples(values, pixels)), flags


def arrange_samples(values: Shaped[np.ndarray, "count"], pixels: PixelModule, *, planar: bool | None = None) -> Array:
    """Flat stored values as (rows, columns[, samples]): a view, whose planes lie apart where they are stored so.

    Args:
        planar: colour planes follow one another; None = as Planar Configuration (0028,0006) says.
    """
    rows, columns, samples = pixels.rows, pixels.columns, pixels.samples_per_pixel
    if samples == 1:
        return values.reshape(rows, columns)
    if pixels.planar_configuration == 1 if planar is None else planar:
        return values.reshape(samples, rows, columns).transpose(1, 2, 0)
    return values.reshape(rows, columns, samples)


def _upsample_422(values: Shaped[np.ndarray, "count"], pixels: PixelModule) -> Array:
    """Y1 Y2 Cb Cr … to Y Cb Cr: both pixels of a pair get the pair's chroma."""
    if pixels.columns % 2:
        raise SampleError(Reason.UNSUPPORTED_PIXELS, f"YBR_FULL_422 with an odd number of columns, {pixels.columns}")
    pairs = values.reshape(-1, 4)
    full = np.empty((len(pairs), 2, 3), values.dtype)
    full[:, :, 0] = pairs[:, :2]
    full[:, :, 1:] = pairs[:, None, 2:]
    return full.reshape(pixels.rows, pixels.columns, 3)
