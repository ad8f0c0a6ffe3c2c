"""Compiled loops from a label map to the raw sums of its regions, and from these to the features of nodes.

They work run by run (see connectivity_kernels): a label is looked up once a run. No fastmath, float64 sums in raster
order. Labels must be 0 … in connected regions, as `connect` leaves them, and -1 outside a mask.
"""

import math
from typing import Any

import numba
import numpy as np

AREA, TOTAL, SQUARES, LOW, HIGH, GRADIENT, ROWS, COLUMNS, ROW_SQUARES, COLUMN_SQUARES, CROSS, PERIMETER, BORDER = range(
    13
)
"""Columns of the raw sums of a region."""


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _gradient_line(above: Any, line: Any, below: Any, out: Any) -> None:
    """Length of the gradient of one row, central differences; the image goes on at its edges with its last value."""
    last = len(line) - 1
    left, right, high, low, target = line[:-2], line[2:], above[1:-1], below[1:-1], out[1:-1]
    for index in range(len(target)):
        across, down = right[index] - left[index], low[index] - high[index]
        target[index] = np.float32(0.5) * math.sqrt(across * across + down * down)
    for index, before, after in ((0, 0, min(1, last)), (last, max(last - 1, 0), last)):
        across, down = line[after] - line[before], below[index] - above[index]
        out[index] = np.float32(0.5) * math.sqrt(across * across + down * down)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _pick(near: Any, near_labels: Any, own: Any, out: Any) -> None:
    for index in range(len(out)):
        out[index] = near[index] if near_labels[index] >= 0 else own[index]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def neighbour_line(plane: Any, labels: Any, row: int, step: Any, out: Any) -> None:
    """The neighbours of a row's pixels; the pixel itself where there is no such pixel or it lies outside the mask.

    Args:
        plane: float32 (rows, columns).
        labels: int32 (rows, columns), -1 outside the mask.
        row: of the pixels.
        step: (down, right): -1, 0 or 1 each.
        out: float32 (columns,), out.
    """
    rows, columns = plane.shape
    down, right = step
    out[:] = plane[row]
    if 0 <= row + down < rows:
        first, end = max(0, -right), min(columns, columns - right)
        near, near_labels = (
            plane[row + down, first + right : end + right],
            labels[row + down, first + right : end + right],
        )
        _pick(near, near_labels, plane[row, first:end], out[first:end])


@numba.njit(nogil=True, cache=True, error_model="numpy")
def central_differences(plane: Any, labels: Any, row: int, out: Any) -> None:
    """Twice the gradient of a row's pixels, under a mask, float32: to the right into out[0], down into out[1]."""
    across, down, line = out
    neighbour_line(plane, labels, row, (0, 1), across)
    neighbour_line(plane, labels, row, (0, -1), line)
    for index in range(len(line)):
        across[index] -= line[index]
    neighbour_line(plane, labels, row, (1, 0), down)
    neighbour_line(plane, labels, row, (-1, 0), line)
    for index in range(len(line)):
        down[index] -= line[index]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _gradient_inside(plane: Any, labels: Any, row: int, work: Any, out: Any) -> None:
    """`_gradient_line` under a mask: a neighbour that is not there has the pixel's own value."""
    central_differences(plane, labels, row, work)
    across, down, _ = work
    for index in range(len(out)):
        out[index] = np.float32(0.5) * math.sqrt(across[index] * across[index] + down[index] * down[index])


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _add_run(values: Any, gradient: Any, row: int, start: int, sums: Any) -> None:
    """Add a run, given as slices of its row, to the sums of its region."""
    total, squares, steepness = 0.0, 0.0, 0.0
    low, high = sums[LOW], sums[HIGH]
    for index in range(len(values)):
        value = np.float64(values[index])
        total += value
        squares += value * value
        steepness += gradient[index]
        low, high = min(low, value), max(high, value)
    count = np.float64(len(values))
    across = count * (start + (count - 1) / 2)
    sums[AREA] += count
    sums[TOTAL] += total
    sums[SQUARES] += squares
    sums[LOW], sums[HIGH] = low, high
    sums[GRADIENT] += steepness
    sums[ROWS] += count * row
    sums[COLUMNS] += across
    sums[ROW_SQUARES] += count * row * row
    sums[COLUMN_SQUARES] += across * across / count + count * (count * count - 1) / 12
    sums[CROSS] += across * row


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _add_channels(image: Any, row: int, start: int, end: int, sums: Any) -> None:
    """Add a run's values and their squares to the (channels, 2) sums of its region."""
    for channel in range(image.shape[0]):
        values = image[channel, row, start:end]
        total, squares = 0.0, 0.0
        for index in range(len(values)):
            value = np.float64(values[index])
            total += value
            squares += value * value
        sums[channel, 0] += total
        sums[channel, 1] += squares


@numba.njit(nogil=True, cache=True, error_model="numpy")
def sum_regions(planes: Any, labels: Any, runs: Any, regions: int, masked: bool) -> Any:
    """Raw sums of each region but for the perimeter inside the mask.

    Args:
        planes: the mean over the channels, float32 (rows, columns), and the image, float32 (channels, rows, columns).
        labels: int32 (rows, columns).
        runs: of `find_runs`.
        regions: how many.
        masked: whether a label may be -1.

    Returns:
        float64 (regions, 13), perimeter and border hold the pixel sides at the image's border; and float64 (regions,
        channels, 2): sums of the values and of their squares, (regions, 0, 2) where the image has one channel.
    """
    plane, image = planes
    starts, first = runs
    rows, columns = plane.shape
    sums = np.zeros((regions, 13), np.float64)
    colours = np.zeros((regions, image.shape[0] if image.shape[0] > 1 else 0, 2), np.float64)
    sums[:, LOW], sums[:, HIGH] = np.inf, -np.inf
    gradient = np.empty(columns, np.float32)
    work = (np.empty(columns, np.float32), np.empty(columns, np.float32), np.empty(columns, np.float32))
    for row in range(rows):
        line = plane[row]
        if masked:
            _gradient_inside(plane, labels, row, work, gradient)
        else:
            _gradient_line(plane[max(row - 1, 0)], line, plane[min(row + 1, rows - 1)], gradient)
        for run in range(first[row], first[row + 1]):
            start, end = starts[run] - row * columns, starts[run + 1] - row * columns
            number = labels[row, start]
            if number < 0:
                continue
            region = sums[number]
            _add_run(line[start:end], gradient[start:end], row, start, region)
            region[BORDER] += (start == 0) + (end == columns) + ((row == 0) + (row == rows - 1)) * (end - start)
            if colours.shape[1]:
                _add_channels(image, row, start, end, colours[number])
    sums[:, PERIMETER] = sums[:, BORDER]
    return sums, colours


@numba.njit(nogil=True, cache=True, error_model="numpy")
def add_rows(values: Any, group: Any, count: int) -> Any:
    """Sums of the rows of each group: float64 (rows, columns) and int32 (rows,) to float64 (count, columns)."""
    out = np.zeros((count, values.shape[1]), np.float64)
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            out[group[row], column] += values[row, column]
    return out


@numba.njit(nogil=True, cache=True, error_model="numpy")
def merge_regions(sums: Any, group: Any, count: int) -> Any:
    """Raw sums of groups of regions, but for the perimeter, which still counts the boundaries within them."""
    out = add_rows(sums, group, count)
    out[:, LOW], out[:, HIGH] = np.inf, -np.inf
    for region in range(sums.shape[0]):
        raw = out[group[region]]
        raw[LOW], raw[HIGH] = min(raw[LOW], sums[region, LOW]), max(raw[HIGH], sums[region, HIGH])
    return out


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _axes(sums: Any) -> Any:
    """Square roots of the eigenvalues of a region's second moments, larger first; pixels are unit squares."""
    area = sums[AREA]
    row, column = sums[ROWS] / area, sums[COLUMNS] / area
    down = sums[ROW_SQUARES] / area - row * row + 1 / 12
    across = sums[COLUMN_SQUARES] / area - column * column + 1 / 12
    cross = sums[CROSS] / area - row * column
    middle, apart = (down + across) / 2, math.sqrt((down - across) ** 2 / 4 + cross * cross)
    return math.sqrt(middle + apart), math.sqrt(max(middle - apart, 0.0))


@numba.njit(nogil=True, cache=True, error_model="numpy")
def describe_regions(sums: Any, shape: Any, expected: float, x: Any, pos: Any) -> None:
    """The twelve invariant features into the first columns of `x`, centroids into `pos`; formulas in features.py.

    Args:
        sums: of `sum_regions` or `merge_regions`, perimeters complete.
        shape: rows and columns of the image.
        expected: mean area of the image's regions, in pixels.
        x: float32 (regions, 12 or more), out.
        pos: float32 (regions, 2), out.
    """
    rows, columns = shape
    side, diagonal = float(max(rows, columns)), math.sqrt(rows * rows + columns * columns) / 2
    for region in range(sums.shape[0]):
        raw, out = sums[region], x[region]
        area, perimeter = raw[AREA], raw[PERIMETER]
        mean, root = raw[TOTAL] / area, math.sqrt(area)
        long_axis, short_axis = _axes(raw)
        row = raw[ROWS] / area + 0.5 - rows / 2
        column = raw[COLUMNS] / area + 0.5 - columns / 2
        out[0] = math.log(area / expected)
        out[1] = mean
        out[2] = math.sqrt(max(raw[SQUARES] / area - mean * mean, 0.0))
        out[3], out[4] = raw[LOW], raw[HIGH]
        out[5] = math.log1p(raw[GRADIENT] / area * math.sqrt(expected))
        out[6], out[7] = long_axis / root, short_axis / root
        out[8] = perimeter / (4 * root)
        out[9] = raw[BORDER] / perimeter
        out[10] = 4 * math.pi * area / (perimeter * perimeter)
        out[11] = math.sqrt(row * row + column * column) / diagonal
        pos[region, 0], pos[region, 1] = row / side, column / side
