"""Instances made from arrays, as the archive would hand them out."""

from typing import Any

import imagecodecs
import numpy as np

from medray.archive.instance import Instance, PixelModule

EXPLICIT, BIG_ENDIAN, RLE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.5"
BASELINE, EXTENDED, LOSSLESS = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.70"
JPEGLS, JPEG2K, HTJ2K = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201"
HTJ2K_LOSSY, JPEGXL = "1.2.840.10008.1.2.4.203", "1.2.840.10008.1.2.4.110"

ENCODERS: dict[str, Any] = {
    EXPLICIT: lambda array: array.tobytes(),
    LOSSLESS: lambda array: imagecodecs.jpeg8_encode(array, lossless=True, predictor=1),
    JPEGLS: imagecodecs.jpegls_encode,
    JPEG2K: lambda array: imagecodecs.jpeg2k_encode(array, codecformat="J2K", level=0, reversible=True, mct=False),
    HTJ2K: imagecodecs.htj2k_encode,
    JPEGXL: lambda array: imagecodecs.jpegxl_encode(array, lossless=True),
}
"""Transfer syntax to a lossless encoder of one unsigned frame."""


def stored_instance(array: Any, syntax: str = EXPLICIT, **header: Any) -> Instance:
    """An Instance around one frame of stored values, written in the transfer syntax."""
    frame = ENCODERS[syntax](array)
    return encoded_instance(frame, array.shape[:2], syntax, **(described(array) | header))


def encoded_instance(frame: Any, shape: tuple[int, ...], syntax: str, **header: Any) -> Instance:
    """An Instance around the bytes of one frame."""
    return Instance(PixelModule(syntax, shape[0], shape[1], **header), (frame,))


def described(array: np.ndarray) -> dict[str, Any]:
    """The header that an array's type and shape imply."""
    bits = 8 * array.dtype.itemsize
    header: dict[str, Any] = {"bits_allocated": bits, "bits_stored": bits, "high_bit": bits - 1}
    header["pixel_representation"] = int(array.dtype.kind == "i")
    if array.ndim == 3:
        header |= {"samples_per_pixel": 3, "photometric_interpretation": "RGB"}
    return header
