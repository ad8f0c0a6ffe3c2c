"""Compiled loops that sum texture over regions, run by run (see connectivity_kernels). No fastmath.

Label -1 lies outside a mask: it is in no sum, and a neighbour there counts as the pixel itself.
"""

import math
from typing import Any

import numpy as np

from medray.graphs.compiled import borrowing, kernel
from medray.graphs.region_kernels import central_differences, neighbour_line

ROUND = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))
"""(down, right) of the eight neighbours, one after the other."""
EDGE_WEIGHT, CORNER_WEIGHT = np.float32(math.sqrt(0.5) * (1 - math.sqrt(0.5))), np.float32(0.5)
"""Weights of the pixels around one in the value 1 away from it along a diagonal; bilinear, its own is the rest."""


@kernel
def sum_band(finer: Any, coarser: Any, labels: Any, runs: Any, sums: Any) -> None:
    """Sums of the difference of two blurred images, and of its absolute value, into float64 (regions, 2)."""
    starts = runs[0]
    fine, coarse, flat = finer.reshape(-1), coarser.reshape(-1), labels.reshape(-1)
    for run in range(len(starts) - 1):
        region = flat[starts[run]]
        if region < 0:
            continue
        total, size = 0.0, 0.0
        for index in range(starts[run], starts[run + 1]):
            difference = np.float64(fine[index] - coarse[index])
            total += difference
            size += abs(difference)
        sums[region, 0] += total
        sums[region, 1] += size


@borrowing
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


@borrowing
def _differences(image: Any, labels: Any, row: int, masked: bool, out: Any) -> None:
    """Central differences of one row, float32: along it into out[0], down the image into out[1]."""
    rows, columns = image.shape
    across, down, _ = out
    half = np.float32(0.5)
    if masked:
        central_differences(image, labels, row, out)
        for column in range(columns):
            down[column], across[column] = half * down[column], half * across[column]
        return
    line, upper, lower = image[row], image[max(row - 1, 0)], image[min(row + 1, rows - 1)]
    for column in range(columns):
        down[column] = half * (lower[column] - upper[column])
        across[column] = half * (line[min(column + 1, columns - 1)] - line[max(column - 1, 0)])


@kernel
def sum_gradients(image: Any, labels: Any, runs: Any, masked: bool, sums: Any) -> None:
    """Sums of the gradient's length and of the structure tensor into float64 (regions, 4): length, yy, xx, xy."""
    starts, first = runs
    rows, columns = image.shape
    across, down, line = np.empty(columns, np.float32), np.empty(columns, np.float32), np.empty(columns, np.float32)
    for row in range(rows):
        _differences(image, labels, row, masked, (across, down, line))
        for run in range(first[row], first[row + 1]):
            start, end = starts[run] - row * columns, starts[run + 1] - row * columns
            if labels[row, start] >= 0:
                _add_tensor(across[start:end], down[start:end], sums[labels[row, start]])


@kernel
def count_values(image: Any, labels: Any, edges: Any, counts: Any) -> None:
    """Histograms into float64 (regions, bins): bin k holds values from edges[k - 1] to below edges[k]."""
    values, flat = image.reshape(-1), labels.reshape(-1)
    for index in range(len(values)):
        place = 0
        for edge in range(len(edges)):
            place += values[index] >= edges[edge]
        if flat[index] >= 0:
            counts[flat[index], place] += 1


@borrowing
def _pattern(apart: Any, out: Any) -> None:
    """Bit k of each pixel's pattern: whether the image, 1 away in direction k, is no darker than it."""
    out[:] = 0
    for turn in range(0, 8, 2):
        straight, corner, other = apart[turn], apart[turn + 1], apart[(turn + 2) % 8]
        one, two = np.uint8(1 << turn), np.uint8(2 << turn)
        for index in range(len(out)):
            slanted = EDGE_WEIGHT * (straight[index] + other[index]) + CORNER_WEIGHT * corner[index]
            out[index] |= (one if straight[index] >= 0 else np.uint8(0)) | (two if slanted >= 0 else np.uint8(0))


@kernel
def count_patterns(image: Any, labels: Any, bins: Any, counts: Any) -> None:
    """Histograms of local binary patterns into float64 (regions, bins).

    Args:
        image: float32 (rows, columns).
        labels: int32 (rows, columns).
        bins: uint8 (256,): the bin of each pattern.
        counts: float64 (regions, bins), out.
    """
    rows, columns = image.shape
    apart, patterns = np.empty((8, columns), np.float32), np.empty(columns, np.uint8)
    for row in range(rows):
        own, line = image[row], labels[row]
        for turn in range(8):
            near = apart[turn]
            neighbour_line(image, labels, row, ROUND[turn], near)
            for column in range(columns):
                near[column] -= own[column]
        _pattern(apart, patterns)
        for column in range(columns):
            if line[column] >= 0:
                counts[line[column], bins[patterns[column]]] += 1
