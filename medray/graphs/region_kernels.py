"""Compiled loops from a label map to the raw sums of its regions, and from these to the features of nodes.

They work run by run (see connectivity_kernels): a label is looked up once a run. No fastmath, float64 sums in raster
order. Labels must be 0 … in connected regions, as `connect` leaves them, and -1 outside a mask.
"""

import math
from typing import Any

import numpy as np

from medray.graphs.compiled import borrowing, kernel

AREA, TOTAL, SQUARES, LOW, HIGH, GRADIENT, ROWS, COLUMNS, ROW_SQUARES, COLUMN_SQUARES, CROSS, PERIMETER, BORDER = range(
    13
)
"""Columns of the raw sums of a region."""

AFTER, BEFORE = ((0, 1), (1, 0)), ((0, -1), (-1, 0))
"""(down, right) of the next and of the last pixel along a row, and along a column."""


@borrowing
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


@borrowing
def _pick(near: Any, near_labels: Any, own: Any, out: Any) -> None:
    for index in range(len(out)):
        out[index] = near[index] if near_labels[index] >= 0 else own[index]


@borrowing
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
    for column in range(columns):
        out[column] = plane[row, column]
    if 0 <= row + down < rows:
        first, end = max(0, -right), min(columns, columns - right)
        near, near_labels = (
            plane[row + down, first + right : end + right],
            labels[row + down, first + right : end + right],
        )
        _pick(near, near_labels, plane[row, first:end], out[first:end])


@borrowing
def central_differences(plane: Any, labels: Any, row: int, out: Any) -> None:
    """Twice the gradient of a row's pixels, under a mask, float32: to the right into out[0], down into out[1]."""
    line = out[2]
    for axis in range(2):
        difference = out[axis]
        neighbour_line(plane, labels, row, AFTER[axis], difference)
        neighbour_line(plane, labels, row, BEFORE[axis], line)
        for index in range(len(line)):
            difference[index] -= line[index]


@borrowing
def _gradient_inside(plane: Any, labels: Any, row: int, work: Any, out: Any) -> None:
    """`_gradient_line` under a mask: a neighbour that is not there has the pixel's own value."""
    central_differences(plane, labels, row, work)
    across, down, _ = work
    for index in range(len(out)):
        out[index] = np.float32(0.5) * math.sqrt(across[index] * across[index] + down[index] * down[index])


@borrowing
def _add_run(values: Any, gradient: Any, place: Any, sums: Any) -> None:
    """Add a run to the sums of its region.

    Args:
        values: float32 (columns,), of its row.
        gradient: float32 (columns,), of its row.
        place: region, row, first column and end.
        sums: float64 (regions, 13).
    """
    region, row, start, end = place
    total, squares, steepness = 0.0, 0.0, 0.0
    low, high = sums[region, LOW], sums[region, HIGH]
    for column in range(np.uint64(start), np.uint64(end)):
        value = np.float64(values[column])
        total += value
        squares += value * value
        steepness += gradient[column]
        low, high = min(low, value), max(high, value)
    count = np.float64(end - start)
    across = count * (start + (count - 1) / 2)
    sums[region, AREA] += count
    sums[region, TOTAL] += total
    sums[region, SQUARES] += squares
    sums[region, LOW], sums[region, HIGH] = low, high
    sums[region, GRADIENT] += steepness
    sums[region, ROWS] += count * row
    sums[region, COLUMNS] += across
    sums[region, ROW_SQUARES] += count * row * row
    sums[region, COLUMN_SQUARES] += across * across / count + count * (count * count - 1) / 12
    sums[region, CROSS] += across * row


@borrowing
def _add_channels(image: Any, place: Any, sums: Any) -> None:
    """Add a run's values and their squares to the float64 (regions, channels, 2) sums of its region."""
    region, row, start, end = place
    for channel in range(image.shape[0]):
        total, squares = 0.0, 0.0
        for column in range(start, end):
            value = np.float64(image[channel, row, column])
            total += value
            squares += value * value
        sums[region, channel, 0] += total
        sums[region, channel, 1] += squares


@kernel
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
    columns, channels = labels.shape[1], planes[1].shape[0]
    sums = np.zeros((regions, 13), np.float64)
    colours = np.zeros((regions, channels if channels > 1 else 0, 2), np.float64)
    work = (np.empty(columns, np.float32), np.empty(columns, np.float32), np.empty(columns, np.float32))
    _add_rows(planes, labels, runs, (np.empty(columns, np.float32), work, masked), (sums, colours))
    return sums, colours


@borrowing
def _add_rows(planes: Any, labels: Any, runs: Any, lines: Any, out: Any) -> None:
    """Add all runs, row by row; `lines` are four rows to work in, and whether a label may be -1."""
    plane, image = planes
    starts, first = runs
    gradient, work, masked = lines
    sums, colours = out
    rows, columns = plane.shape
    sums[:, LOW], sums[:, HIGH] = np.inf, -np.inf
    for row in range(rows):
        if masked:
            _gradient_inside(plane, labels, row, work, gradient)
        else:
            _gradient_line(plane[max(row - 1, 0)], plane[row], plane[min(row + 1, rows - 1)], gradient)
        for run in range(first[row], first[row + 1]):
            start, end = starts[run] - row * columns, starts[run + 1] - row * columns
            number = labels[row, start]
            if number < 0:
                continue
            _add_run(plane[row], gradient, (number, row, start, end), sums)
            ends = (start == 0) + (end == columns) + ((row == 0) + (row == rows - 1)) * (end - start)
            sums[number, BORDER] += ends
            if colours.shape[1]:
                _add_channels(image, (number, row, start, end), colours)
    for number in range(sums.shape[0]):
        sums[number, PERIMETER] = sums[number, BORDER]


@kernel
def add_rows(values: Any, group: Any, count: int) -> Any:
    """Sums of the rows of each group: float64 (rows, columns) and int32 (rows,) to float64 (count, columns)."""
    out = np.zeros((count, values.shape[1]), np.float64)
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            out[group[row], column] += values[row, column]
    return out


@kernel
def merge_regions(sums: Any, group: Any, count: int) -> Any:
    """Raw sums of groups of regions, but for the perimeter, which still counts the boundaries within them."""
    out = add_rows(sums, group, count)
    out[:, LOW], out[:, HIGH] = np.inf, -np.inf
    for region in range(sums.shape[0]):
        raw = out[group[region]]
        raw[LOW], raw[HIGH] = min(raw[LOW], sums[region, LOW]), max(raw[HIGH], sums[region, HIGH])
    return out


@borrowing
def _axes(sums: Any) -> Any:
    """Square roots of the eigenvalues of a region's second moments, larger first; pixels are unit squares."""
    area = sums[AREA]
    row, column = sums[ROWS] / area, sums[COLUMNS] / area
    down = sums[ROW_SQUARES] / area - row * row + 1 / 12
    across = sums[COLUMN_SQUARES] / area - column * column + 1 / 12
    cross = sums[CROSS] / area - row * column
    middle, apart = (down + across) / 2, math.sqrt((down - across) ** 2 / 4 + cross * cross)
    return math.sqrt(middle + apart), math.sqrt(max(middle - apart, 0.0))


@kernel
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
