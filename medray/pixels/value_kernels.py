"""Compiled loops over pixel values. They release the GIL and take contiguous arrays."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

Loop = TypeVar("Loop", bound=Callable[..., Any])


def _compile(loop: Loop) -> Loop:
    """Compile at the first call; sums may be reordered, nan and infinity keep their meaning."""
    return cast(Loop, numba.njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz"})(loop))


@_compile
def rescale_into(stored: Any, slope: float, intercept: float, out: Any) -> None:
    """out = stored * slope + intercept in float64, rounded once to float32; both flat."""
    for index in range(stored.size):
        out[index] = np.float64(stored[index]) * slope + intercept


@_compile
def clip_above(values: Any, top: Any) -> bool:
    """Set values above `top` to it, in place; whether there were any. `values` is flat and unsigned."""
    highest = top
    for index in range(values.size):
        highest = max(highest, values[index])
        values[index] = min(values[index], top)
    return bool(highest > top)


@_compile
def moments(values: Any) -> tuple[float, float]:
    """Mean and population variance in float64; `values` is flat and not empty."""
    origin = np.float64(values[0])
    total = 0.0
    squares = 0.0
    for index in range(values.size):
        difference = values[index] - origin
        total += difference
        squares += difference * difference
    mean = total / values.size
    return origin + mean, max(squares / values.size - mean * mean, 0.0)


@_compile
def masked_moments(values: Any, mask: Any) -> tuple[int, float, float]:
    """Count, mean and population variance of the values where `mask` is true; both flat."""
    count = 0
    origin = 0.0
    for index in range(values.size):
        if mask[index]:
            origin = np.float64(values[index])
            break
    total = 0.0
    squares = 0.0
    for index in range(values.size):
        inside = np.float64(mask[index])
        difference = inside * (values[index] - origin)
        count += mask[index]
        total += difference
        squares += difference * difference
    if count == 0:
        return 0, 0.0, 0.0
    mean = total / count
    return count, origin + mean, max(squares / count - mean * mean, 0.0)


@_compile
def resample(values: Any, row_first: Any, row_weights: Any, column_first: Any, column_weights: Any, out: Any) -> None:
    """Weighted sums of rows, then of columns: out[i, k] = sum over r, c of w[i, r] * v[k, c] * values[r, c].

    `first` is where the weights of an output row (column) start in the input; rows of `weights` are padded with
    zeros, and start so that they end within the input.
    """
    rows, columns = out.shape
    line = np.empty(values.shape[1], np.float32)
    for row in range(rows):
        line[:] = 0
        for tap in range(row_weights.shape[1]):
            weight = row_weights[row, tap]
            if weight != 0:
                source = values[row_first[row] + tap]
                for column in range(line.size):
                    line[column] += weight * np.float32(source[column])
        for column in range(columns):
            source = line[column_first[column] :]  # an index that cannot be negative is what makes this loop a vector's
            weights = column_weights[column]
            total = np.float32(0)
            for tap in range(weights.size):
                total += weights[tap] * source[tap]
            out[row, column] = total
