"""Compiled loops from a label map to its region adjacency graph: raw sums, edges, features of nodes.

They work run by run (see connectivity_kernels): a label is looked up once a run and an edge once a contact.
No fastmath, float64 sums in raster order. Labels must be 0 … in connected regions, as `connect` leaves them.
"""

import math
from typing import Any

import numba
import numpy as np

AREA, TOTAL, SQUARES, LOW, HIGH, GRADIENT, ROWS, COLUMNS, ROW_SQUARES, COLUMN_SQUARES, CROSS, PERIMETER, BORDER = range(
    13
)
"""Columns of the raw sums of a region."""

LENGTH, CONTRAST, PAIRS = range(3)
"""Columns of the raw sums of an edge: pixel sides, sum of |difference|, pixel pairs."""


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
def sum_regions(image: Any, labels: Any, runs: Any, regions: int) -> Any:
    """Raw sums of each region but for the perimeter inside the image.

    Args:
        image: float32 (rows, columns).
        labels: int32 (rows, columns).
        runs: of `find_runs`.
        regions: how many.

    Returns:
        float64 (regions, 13); perimeter and border hold the pixel sides at the image's border.
    """
    starts, first = runs
    rows, columns = image.shape
    sums = np.zeros((regions, 13), np.float64)
    sums[:, LOW], sums[:, HIGH] = np.inf, -np.inf
    gradient = np.empty(columns, np.float32)
    for row in range(rows):
        line = image[row]
        _gradient_line(image[max(row - 1, 0)], line, image[min(row + 1, rows - 1)], gradient)
        for run in range(first[row], first[row + 1]):
            start, end = starts[run] - row * columns, starts[run + 1] - row * columns
            region = sums[labels[row, start]]
            _add_run(line[start:end], gradient[start:end], row, start, region)
            region[BORDER] += (start == 0) + (end == columns) + ((row == 0) + (row == rows - 1)) * (end - start)
    sums[:, PERIMETER] = sums[:, BORDER]
    return sums


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _slot(keys: Any, one: int, other: int) -> int:
    """Place of an edge in the open-addressed table; its key is written where it is new."""
    low, high = min(one, other), max(one, other)
    key = np.int64(low) << 32 | np.int64(high)
    mask = len(keys) - 1
    slot = (low * 73856093 ^ high * 19349663) & mask
    while keys[slot] != key:
        if keys[slot] < 0:
            keys[slot] = key
            break
        slot = (slot + 1) & mask
    return slot


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _add_contact(table: Any, sums: Any, one: int, other: int, length: float, contrast: float) -> None:
    keys, edges = table
    edge = edges[_slot(keys, one, other)]
    edge[LENGTH] += length
    edge[CONTRAST] += contrast
    edge[PAIRS] += length
    sums[one, PERIMETER] += length
    sums[other, PERIMETER] += length


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _add_corners(image: Any, labels: Any, table: Any) -> None:
    """Edges between regions that meet in a corner only: where a 2 x 2 window sees four of them."""
    keys, edges = table
    for row in range(image.shape[0] - 1):
        for column in range(image.shape[1] - 1):
            a, b = labels[row, column], labels[row, column + 1]
            c, d = labels[row + 1, column], labels[row + 1, column + 1]
            if a != b and a != c and b != d and c != d:
                falling, rising = edges[_slot(keys, a, d)], edges[_slot(keys, b, c)]
                falling[CONTRAST] += abs(np.float64(image[row, column]) - image[row + 1, column + 1])
                rising[CONTRAST] += abs(np.float64(image[row, column + 1]) - image[row + 1, column])
                falling[PAIRS] += 1
                rising[PAIRS] += 1


@numba.njit(nogil=True, cache=True, error_model="numpy")
def sum_edges(image: Any, labels: Any, runs: Any, contacts: Any, sums: Any, corners: bool) -> Any:
    """Pairs of neighbouring regions, each once; adds the perimeters inside the image to `sums`.

    Args:
        image: float32 (rows, columns).
        labels: int32 (rows, columns) of 4-connected regions: their graph is planar, so that the table is large enough.
        runs: of `find_runs`.
        contacts: of `find_contacts`.
        sums: of `sum_regions`.
        corners: also join regions that meet in a corner only (length 0), for grids.

    Returns:
        int32 (2, edges), lower region first, in lexicographic order, and float64 (edges, 3).
    """
    starts, first = runs
    columns = image.shape[1]
    values, flat = image.reshape(-1), labels.reshape(-1)
    capacity = 16
    while capacity < 8 * sums.shape[0]:
        capacity *= 2
    table = (np.full(capacity, -1, np.int64), np.zeros((capacity, 3), np.float64))
    for row in range(image.shape[0]):
        for run in range(first[row] + 1, first[row + 1]):
            at = starts[run]
            step = abs(np.float64(values[at]) - values[at - 1])
            _add_contact(table, sums, flat[at - 1], flat[at], 1.0, step)
    for contact in range(contacts.shape[0]):
        above, below = contacts[contact, 0], contacts[contact, 1]
        one, other = flat[starts[above]], flat[starts[below]]
        if one != other:
            start = max(starts[above] + columns, starts[below])
            end = min(starts[above + 1] + columns, starts[below + 1])
            total = 0.0
            for at in range(start, end):
                total += abs(np.float64(values[at]) - values[at - columns])
            _add_contact(table, sums, one, other, np.float64(end - start), total)
    if corners:
        _add_corners(image, labels, table)
    return _sorted_edges(table)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _sorted_edges(table: Any) -> Any:
    keys, edges = table
    found = np.sort(keys[keys >= 0])
    index = np.empty((2, len(found)), np.int32)
    sums = np.empty((len(found), 3), np.float64)
    for edge in range(len(found)):
        low, high = found[edge] >> 32, found[edge] & 0xFFFFFFFF
        index[0, edge], index[1, edge] = low, high
        sums[edge] = edges[_slot(keys, low, high)]
    return index, sums


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
def describe_regions(sums: Any, rows: int, columns: int, x: Any, pos: Any) -> None:
    """The twelve invariant features into the first columns of `x`, centroids into `pos`; formulas in features.py."""
    expected = rows * columns / sums.shape[0]
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
