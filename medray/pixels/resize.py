"""Antialiased resize: separable triangle filter, as wide as the reduction.

The same weights as Pillow's BILINEAR and torch's `interpolate(mode="bilinear", antialias=True)`.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float32, Real

from medray.pixels.value_kernels import resample

MIN_COVERAGE = 1e-3
"""Share of real (unmasked) pixels under the filter below which an output pixel has no value."""

Image = Real[np.ndarray, "rows columns"]


def resize(image: Image, rows: int, columns: int) -> Real[np.ndarray, "out_rows out_columns"]:
    """A float32 or 8- or 16-bit image at another size, in float32; the image itself where it has that size already."""
    if image.shape == (rows, columns):
        return image
    out = np.empty((rows, columns), np.float32)
    row_taps, column_taps = _triangle_weights(image.shape[0], rows), _triangle_weights(image.shape[1], columns)
    resample(np.ascontiguousarray(image), *row_taps, *column_taps, out)
    return out


def resize_masked(
    image: Image, mask: Bool[np.ndarray, "rows columns"], rows: int, columns: int
) -> tuple[Float32[np.ndarray, "out_rows out_columns"], Bool[np.ndarray, "out_rows out_columns"]]:
    """Resize by normalised convolution: only pixels whose mask is true are blended.

    Returns:
        The image, and where it has a value; elsewhere it is 0.

    Source: Knutsson and Westin 1993, doi:10.1109/CVPR.1993.341081.
    """
    masked = np.where(mask, image, np.float32(0))
    if masked.shape == (rows, columns):
        return masked, mask
    weighted = resize(masked, rows, columns)
    coverage = resize(mask.astype(np.float32), rows, columns)
    valid = coverage > MIN_COVERAGE
    return np.divide(weighted, coverage, out=np.zeros_like(weighted), where=valid), valid


def fit_shape(rows: int, columns: int, size: int, pixel_aspect: float) -> tuple[int, int]:
    """The largest (rows, columns) within size x size that keeps the shape of the imaged area.

    Args:
        pixel_aspect: height of a pixel over its width.
    """
    height = rows * pixel_aspect
    longest = max(height, columns)
    return max(1, round(size * height / longest)), max(1, round(size * columns / longest))


@lru_cache(maxsize=64)
def _triangle_weights(length: int, out_length: int) -> tuple[np.ndarray, np.ndarray]:
    """For each output pixel the first input pixel and the weights of it and the following ones (sum 1)."""
    scale = length / out_length
    support = max(scale, 1.0)
    centers = (np.arange(out_length) + 0.5) * scale
    taps = min(int(np.ceil(2 * support)) + 1, length)
    first = np.clip(np.floor(centers - support + 0.5).astype(np.int64), 0, length - taps)
    distance = (first[:, None] + np.arange(taps) + 0.5 - centers[:, None]) / support
    weights = np.maximum(1 - np.abs(distance), 0)
    return first, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
