"""Colour to RGB. Source: DICOM PS3.3 C.7.6.3.1.2 (YBR_FULL), C.7.6.3.1.5 and C.7.6.3.1.6 (palette)."""

from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Integer, Shaped

from medray.archive.instance import LookupTable, Palette
from medray.errors import Reason, SampleError

Colour = Shaped[np.ndarray, "rows columns 3"]


def ybr_to_rgb(ybr: Colour, bits: int) -> Colour:
    """YBR_FULL to RGB, within one level of the exact equations (fixed point, 16 fractional bits).

    Args:
        bits: precision of a sample: chroma is centred at 2**(bits - 1).

    Raises:
        SampleError: `unsupported_pixels` for samples wider than 16 bits, which are in no use.
    """
    if ybr.dtype.itemsize > 2:
        raise SampleError(Reason.UNSUPPORTED_PIXELS, f"YBR_FULL with {8 * ybr.dtype.itemsize} bits a sample")
    wide = np.int32 if ybr.dtype.itemsize == 1 else np.int64
    luma: Any = ybr[..., 0].astype(wide) * 65536 + 32768
    chroma: Any = [ybr[..., channel].astype(wide) - (1 << (bits - 1)) for channel in (1, 2)]
    blue, red = chroma
    rgb = np.empty(ybr.shape, ybr.dtype)
    top = (1 << bits) - 1
    for channel, value in enumerate((luma + 91881 * red, luma - 22554 * blue - 46802 * red, luma + 116130 * blue)):
        np.clip(value >> 16, 0, top, out=value)
        rgb[..., channel] = value
    return rgb


def expand_palette(
    indices: Integer[np.ndarray, "rows columns"], palette: Palette | None
) -> Integer[np.ndarray, "rows columns 3"]:
    """Palette indices to 8-bit RGB; 16-bit entries keep their high byte, indices outside clamp to the ends.

    Raises:
        SampleError: `unsupported_pixels` where the palette is missing or empty.
    """
    if palette is None or not all(table.entries for table in (palette.red, palette.green, palette.blue)):
        raise SampleError(
            Reason.UNSUPPORTED_PIXELS, "PALETTE COLOR without Palette Color Lookup Table Data (0028,1201)"
        )
    rgb = np.empty((*indices.shape, 3), np.uint8)
    tables = (palette.red, palette.green, palette.blue)
    # Tables declared with 16 bits often hold 8-bit entries: their high byte would be black.
    shift = 8 if max(int(_entries(table).max()) for table in tables) > 255 else 0
    for channel, table in enumerate(tables):
        entries = (_entries(table) >> shift).astype(np.uint8)
        rgb[..., channel] = entries.take(indices.astype(np.int64) - table.first_mapped, mode="clip")
    return rgb


@lru_cache(maxsize=8)
def _entries(table: LookupTable) -> np.ndarray:
    return np.asarray(table.entries, np.int64)
