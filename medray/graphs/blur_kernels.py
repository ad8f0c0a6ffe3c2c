"""Compiled loops on images before they become regions: the mean of the channels, and the blur."""

from typing import Any

import numpy as np

from medray.graphs.compiled import borrowing, kernel

LARGEST = np.finfo(np.float32).max


@kernel
def mean_of_channels(image: Any, out: Any) -> Any:
    """Mean over the channels of a float32 (channels, rows * columns) image.

    Returns:
        How many values of the result are not finite.
    """
    bad = np.int32(0)
    count = np.float32(image.shape[0])
    out[:] = 0
    for channel in range(image.shape[0]):
        plane = image[channel]
        for index in range(len(plane)):
            out[index] += plane[index]
    for index in range(len(out)):
        out[index] /= count
        bad += np.int32(0) if abs(out[index]) <= LARGEST else np.int32(1)
    return bad


@borrowing
def add_scaled(line: Any, before: Any, after: Any, weight: Any) -> None:
    """Add the weighted sum of two lines to a line, all float32 of one length."""
    for index in range(len(line)):
        line[index] += weight * (before[index] + after[index])


@borrowing
def blur_line(line: Any, weights: Any, out: Any) -> None:
    """Symmetric filter along a float32 line, which goes on beyond `out` by the filter's radius at both ends."""
    columns, radius = len(out), len(weights) - 1
    out[:] = 0
    for step in range(radius + 1):
        weight = weights[step] if step else weights[0] * np.float32(0.5)
        before, after = line[radius - step : radius - step + columns], line[radius + step : radius + step + columns]
        add_scaled(out, before, after, weight)


@kernel
def blur(image: Any, weights: Any, out: Any) -> None:
    """Separable symmetric filter; the image goes on at its edges with its last value.

    Args:
        image: float32 (rows, columns).
        weights: float32, of distance 0, 1, 2 …: the right half of the filter.
        out: the same shape as image, another array.
    """
    _blur_rows(image, weights, np.empty(image.shape[1] + 2 * (len(weights) - 1), np.float32), out)


@kernel
def blur_inside(image: Any, weights: Any, inside: Any, out: Any) -> None:
    """`blur` of the pixels inside a mask alone, whose weights then sum to 1, and 0 outside.

    Args:
        image: float32 (rows, columns), 0 outside the mask.
        weights: as of `blur`.
        inside: bool (rows, columns); (0, 0) where all pixels are.
        out: the same shape as image, another array.
    """
    blur(image, weights, out)
    if len(inside):
        share = np.empty_like(out)
        blur(inside.astype(np.float32), weights, share)
        _divide(inside, share, out)


@borrowing
def _divide(inside: Any, share: Any, out: Any) -> None:
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            mended = out[row, column] / share[row, column]
            out[row, column] = mended if inside[row, column] else np.float32(0)


@borrowing
def _blur_rows(image: Any, weights: Any, line: Any, out: Any) -> None:
    """Down the columns into `line`, which holds a row and its continuations, and along that into a row of `out`."""
    rows, columns = image.shape
    radius = len(weights) - 1
    inner = line[radius : radius + columns]
    for row in range(rows):
        inner[:] = 0
        for step in range(radius + 1):
            weight = weights[step] if step else weights[0] * np.float32(0.5)
            add_scaled(inner, image[max(row - step, 0)], image[min(row + step, rows - 1)], weight)
        line[:radius] = inner[0]
        line[radius + columns :] = inner[columns - 1]
        blur_line(line, weights, out[row])
