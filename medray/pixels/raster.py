"""PNG, JPEG and TIFF files to stored values. The size is read from the header before memory is taken for it.

Source: PNG specification 11.2 (IHDR), TIFF 6.0, Exif 2.32 4.6 (Orientation).
"""

import io
import logging
import struct
from collections.abc import Callable

import imagecodecs
import numpy as np
from jaxtyping import Shaped

from medray.archive.instance import JPEG, PNG, TIFF, PixelModule
from medray.errors import Reason, SampleError
from medray.pixels.codestream import Buffer, is_whole, read_jpeg_header
from medray.pixels.first_decoder import REFUSALS, Encoded

Array = Shaped[np.ndarray, "rows columns *samples"]
Raster = tuple[Array, str, tuple[str, ...]]


def decode_raster(encoded: Buffer, pixels: PixelModule, page: int, max_samples: int) -> Raster:
    """A PNG, JPEG or TIFF file as (rows, columns) or RGB (rows, columns, 3), the decoder, and flags.

    Alpha is dropped, EXIF orientation is not applied (both flagged); 16 bits stay 16 bits;
    a PNG of 1, 2 or 4 bits is stretched over 0 … 255 (PNG 13.12).

    Args:
        page: of a TIFF; the others have page 0.

    Raises:
        SampleError: `image_too_large`, `unsupported_pixels`, `corrupt_image` or `decode_failed`.
    """
    decode = _FORMATS[pixels.transfer_syntax_uid]
    try:
        array, decoder, flags = decode(encoded, page, max_samples)
    except (*REFUSALS, struct.error, IndexError):
        raise SampleError(Reason.DECODE_FAILED, f"{pixels.transfer_syntax_uid} file cannot be read") from None
    if array.shape[:2] != (pixels.rows, pixels.columns):
        detail = f"the file is {array.shape[0]}x{array.shape[1]}, its index says {pixels.rows}x{pixels.columns}"
        raise SampleError(Reason.CORRUPT_IMAGE, detail)
    return array, decoder, flags


def _png(encoded: Encoded, page: int, max_samples: int) -> Raster:
    columns, rows = struct.unpack_from(">II", encoded, 16)
    _check_page(page, 1)
    _check_samples(rows, columns, 4, max_samples)
    array, flags = _drop_alpha(imagecodecs.png_decode(encoded))
    return array, "imagecodecs.png", flags


def _jpeg(encoded: Encoded, page: int, max_samples: int) -> Raster:
    header = read_jpeg_header(encoded)
    _check_page(page, 1)
    if header.components not in (1, 3):
        raise SampleError(Reason.UNSUPPORTED_PIXELS, f"JPEG file with {header.components} components")
    _check_samples(header.rows, header.columns, header.components, max_samples)
    if not is_whole(encoded):
        raise SampleError(Reason.CORRUPT_IMAGE, f"the JPEG is cut: {len(encoded)} bytes without an end-of-image marker")
    flags = ("exif_orientation_ignored",) if _exif_orientation(encoded) > 1 else ()
    return imagecodecs.jpeg8_decode(encoded), "imagecodecs.jpeg8", flags


def _tiff(encoded: Encoded, page: int, max_samples: int) -> Raster:
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)  # it logs what stands in broken tags
    try:
        return _tiff_page(encoded, page, max_samples)
    except SampleError:
        raise
    except Exception:  # of a broken file tifffile raises whatever its parsing runs into
        raise ValueError from None


def _tiff_page(encoded: Encoded, page: int, max_samples: int) -> Raster:
    import tifffile  # 0.1 s, and most archives have none

    with tifffile.TiffFile(io.BytesIO(encoded)) as file:
        _check_page(page, len(file.pages))
        frame = file.pages[page].aspage()
        _check_samples(int(frame.imagelength), int(frame.imagewidth), int(frame.samplesperpixel), max_samples)
        photometric = tifffile.PHOTOMETRIC(frame.photometric).name
        if frame.imagedepth > 1 or photometric not in _TIFF_COLOURS:
            raise SampleError(Reason.UNSUPPORTED_PIXELS, f"TIFF photometric interpretation {photometric}")
        array = np.asarray(frame.asarray(maxworkers=1))
        if frame.samplesperpixel > 1 and frame.planarconfig == 2:
            array = np.ascontiguousarray(np.moveaxis(array, 0, -1))
        if photometric == "PALETTE":
            array = (np.asarray(frame.colormap) >> 8).astype(np.uint8).T[array]
    array, flags = _drop_alpha(array.view(np.uint8) if array.dtype == bool else array)
    return array, "tifffile", flags


_TIFF_COLOURS = ("MINISBLACK", "MINISWHITE", "RGB", "PALETTE", "YCBCR")


def _drop_alpha(array: np.ndarray) -> tuple[Array, tuple[str, ...]]:
    """Grey and alpha become grey, RGB and alpha RGB."""
    if array.ndim == 2 or array.shape[2] == 3:
        return array, ()
    if array.ndim != 3 or array.shape[2] not in (1, 2, 4):
        raise SampleError(Reason.UNSUPPORTED_PIXELS, f"an image file of shape {array.shape}")
    if array.shape[2] == 1:
        return array[..., 0], ()
    kept = array[..., 0] if array.shape[2] == 2 else array[..., :3]
    return np.ascontiguousarray(kept), ("alpha_dropped",)


def _exif_orientation(encoded: Encoded) -> int:
    """Orientation (tag 0x0112) of a JPEG file's first Exif directory; 1 where it has none."""
    head = bytes(encoded[:65536])
    start = head.find(b"Exif\0\0") + 6
    if start == 5:
        return 1
    order = {b"II": "<", b"MM": ">"}.get(head[start : start + 2])
    if order is None:
        return 1
    try:
        directory = start + struct.unpack_from(f"{order}I", head, start + 4)[0]
        for entry in range(struct.unpack_from(f"{order}H", head, directory)[0]):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", head, directory + 2 + 12 * entry)
            if tag == 0x0112:
                return int(value)
    except struct.error:
        return 1
    return 1


def _check_page(page: int, pages: int) -> None:
    if page >= pages:
        raise SampleError(Reason.FRAME_MISSING, f"page {page} of {pages}")


def _check_samples(rows: int, columns: int, samples: int, max_samples: int) -> None:
    if rows * columns * samples > max_samples:
        detail = f"{rows}x{columns} pixels of up to {samples} samples, the limit is {max_samples} samples"
        raise SampleError(Reason.IMAGE_TOO_LARGE, detail)


_FORMATS: dict[str, Callable[[Encoded, int, int], Raster]] = {PNG: _png, JPEG: _jpeg, TIFF: _tiff}
