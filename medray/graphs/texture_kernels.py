"""Compiled loops that sum texture over regions, run by run (see connectivity_kernels). No fastmath."""

import math
from typing import Any

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, error_model="numpy")
def sum_band(finer: Any, coarser: Any, labels: Any, runs: Any, sums: Any) -> None:
    """Sums of the difference of two blurred images, and of its absolute value, into float64 (regions, 2)."""
    starts = runs[0]
    fine, coarse, flat = finer.reshape(-1), coarser.reshape(-1), labels.reshape(-1)
    for run in range(len(starts) - 1):
        total, size = 0.0, 0.0
        for index in range(starts[run], starts[run + 1]):
            difference = np.float64(fine[index] - coarse[index])
            total += difference
            size += abs(difference)
        region = flat[starts[run]]
        sums[region, 0] += total
        sums[region, 1] += size


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _add_tensor(across: Any, down: Any, out: Any) -> None:
    """Sum of the gradient's length and of its products, over one run."""
    length, rows, columns, cross = 0.0, 0.0, 0.0, 0.0
    for index in range(len(across)):
        dx, dy = np.float64(across[index]), np.float64(down[index])
        length += math.sqrt(dx * dx + dy * dy)
        rows += dy * dy
        columns += dx * dx
        cross += dx * dy
    out[0] += length
    out[1] += rows
    out[2] += columns
    out[3] += cross


@numba.njit(nogil=True, cache=True, error_model="numpy")
def sum_gradients(image: Any, labels: Any, runs: Any, sums: Any) -> None:
    """Sums of the gradient's length and of the structure tensor into float64 (regions, 4): length, yy, xx, xy."""
    starts, first = runs
    rows, columns = image.shape
    across, down = np.empty(columns, np.float32), np.empty(columns, np.float32)
    half = np.float32(0.5)
    for row in range(rows):
        line, above, below = image[row], image[max(row - 1, 0)], image[min(row + 1, rows - 1)]
        for column in range(columns):
            down[column] = half * (below[column] - above[column])
            across[column] = half * (line[min(column + 1, columns - 1)] - line[max(column - 1, 0)])
        for run in range(first[row], first[row + 1]):
            start, end = starts[run] - row * columns, starts[run + 1] - row * columns
            _add_tensor(across[start:end], down[start:end], sums[labels[row, start]])


@numba.njit(nogil=True, cache=True, error_model="numpy")
def count_values(image: Any, labels: Any, edges: Any, counts: Any) -> None:
    """Histograms into float64 (regions, bins): bin k holds values from edges[k - 1] to below edges[k]."""
    values, flat = image.reshape(-1), labels.reshape(-1)
    for index in range(len(values)):
        place = 0
        for edge in range(len(edges)):
            place += values[index] >= edges[edge]
        counts[flat[index], place] += 1
