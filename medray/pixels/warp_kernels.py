"""A compiled loop that reads an image between its pixels. It releases the GIL and takes C-contiguous arrays."""

from typing import Any

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def warp(image: Any, positions: Any, fill: Any, out: Any) -> None:
    """Bilinear interpolation of float32 (channels, rows, columns); the image goes on as `fill` beyond its edges.

    Args:
        image: what is read.
        positions: (2, out_rows, out_columns): row and column in pixels, 0 being the first one's centre.
        fill: value outside.
        out: (channels, out_rows, out_columns).
    """
    channels, rows, columns = image.shape
    for row in range(out.shape[1]):
        for column in range(out.shape[2]):
            y = min(max(positions[0, row, column], np.float32(-1)), np.float32(rows))
            x = min(max(positions[1, row, column], np.float32(-1)), np.float32(columns))
            top, left = int(np.floor(y)), int(np.floor(x))
            low, right = y - np.float32(top), x - np.float32(left)
            for channel in range(channels):
                total = np.float32(0)
                for corner in range(4):
                    at_row, at_column = top + corner // 2, left + corner % 2
                    weight = low if corner // 2 else np.float32(1) - low
                    weight *= right if corner % 2 else np.float32(1) - right
                    inside = 0 <= at_row < rows and 0 <= at_column < columns
                    total += weight * (image[channel, at_row, at_column] if inside else fill)
                out[channel, row, column] = total
