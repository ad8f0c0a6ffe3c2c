"""Compiled loops from a label map to the pairs of regions that touch: boundary length and contrast, once each.

The pixels of a row at which a boundary lies are listed first, without a branch, since no processor could guess it;
an edge is looked up for each of these. No fastmath, float64 sums in raster order; the edges come out sorted.
"""

from typing import Any

import numba
import numpy as np

from medray.graphs.region_kernels import BORDER, PERIMETER
from medray.graphs.run_kernels import list_changes

LENGTH, CONTRAST, PAIRS = range(3)
"""Columns of the raw sums of an edge: pixel sides, sum of |difference|, pairs of values that were compared."""


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
def _table(nodes: int) -> Any:
    """Keys and sums of an empty open-addressed table.

    It is large enough: regions that touch make a planar graph of at most 3 edges a node, and those that meet in falling
    (or rising) corners make another one together with it.
    """
    capacity = 16
    while capacity < 8 * nodes:
        capacity *= 2
    return np.full(capacity, -1, np.int64), np.zeros((capacity, 3), np.float64)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _step(values: Any, one: Any, other: Any) -> float:
    """Sum over channels of the |difference| of two pixels."""
    total = 0.0
    for channel in range(values.shape[0]):
        total += abs(np.float64(values[channel, one]) - values[channel, other])
    return total


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _measure_steps(values: Any, start: int, back: int, out: Any) -> None:
    """`_step` between each pixel of a line and the one `back` pixels before it."""
    out[:] = 0.0
    for channel in range(values.shape[0]):
        here = values[channel, start : start + len(out)]
        before = values[channel, start - back : start - back + len(out)]
        for index in range(len(out)):
            out[index] += abs(np.float64(here[index]) - before[index])


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _add_sides(table: Any, sums: Any, labels: Any, sides: Any) -> None:
    """Pixel sides between two regions, or between one and what lies outside the mask."""
    keys, edges = table
    here, before = labels
    listed, steps = sides
    for place in range(len(listed)):
        at = np.uint32(listed[place])
        one, other = before[at], here[at]
        if one < 0 or other < 0:
            sums[max(one, other), BORDER] += 1
            sums[max(one, other), PERIMETER] += 1
        else:
            edge = edges[_slot(keys, one, other)]
            edge[LENGTH] += 1
            edge[CONTRAST] += steps[at]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _add_line(table: Any, sums: Any, values: Any, flat: Any, line: Any) -> None:
    """All sides between the pixels of a line and those `back` pixels before them."""
    start, back, listed, steps = line
    end = start + len(steps)
    here, before = flat[start:end], flat[start - back : end - back]
    count = list_changes(here, before, 0, listed)
    _measure_steps(values, start, back, steps)
    _add_sides(table, sums, (here, before), (listed[:count], steps))


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _add_corner(table: Any, one: int, other: int, contrast: float, channels: int) -> None:
    keys, edges = table
    if one != other and one >= 0 and other >= 0:
        edge = edges[_slot(keys, one, other)]
        edge[CONTRAST] += contrast
        edge[PAIRS] += channels


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _add_corners(values: Any, labels: Any, table: Any) -> None:
    """Edges between regions that meet in a corner only: where a 2 x 2 window sees four of them."""
    rows, columns = labels.shape
    for row in range(rows - 1):
        for column in range(columns - 1):
            a, b = labels[row, column], labels[row, column + 1]
            c, d = labels[row + 1, column], labels[row + 1, column + 1]
            if a != b and a != c and b != d and c != d:
                at = row * columns + column
                _add_corner(table, a, d, _step(values, at, at + columns + 1), values.shape[0])
                _add_corner(table, b, c, _step(values, at + 1, at + columns), values.shape[0])


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _finish_lengths(table: Any, sums: Any, channels: int) -> None:
    """What follows from the length of each boundary: pairs of values that were compared, perimeters of both sides."""
    keys, edges = table
    for slot in range(len(keys)):
        if keys[slot] >= 0:
            length = edges[slot, LENGTH]
            edges[slot, PAIRS] += length * channels
            sums[keys[slot] >> 32, PERIMETER] += length
            sums[keys[slot] & 0xFFFFFFFF, PERIMETER] += length


@numba.njit(nogil=True, cache=True, error_model="numpy")
def sum_edges(image: Any, labels: Any, sums: Any, corners: bool) -> Any:
    """Pairs of neighbouring regions, each once; adds the perimeters inside the image to `sums`.

    Args:
        image: float32 (channels, rows, columns).
        labels: int32 (rows, columns) of 4-connected regions.
        sums: of `sum_regions`.
        corners: also join regions that meet in a corner only (length 0), for grids.

    Returns:
        int32 (2, edges), lower region first, in lexicographic order, and float64 (edges, 3).
    """
    channels, rows, columns = image.shape
    values, flat = image.reshape(channels, rows * columns), labels.reshape(-1)
    table, listed, steps = _table(sums.shape[0]), np.empty(columns, np.int32), np.empty(columns, np.float64)
    for row in range(rows):
        start = row * columns
        _add_line(table, sums, values, flat, (start + 1, 1, listed, steps[1:]))
        if row:
            _add_line(table, sums, values, flat, (start, columns, listed, steps))
    if corners:
        _add_corners(values, labels, table)
    _finish_lengths(table, sums, channels)
    return _sorted_edges(table)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def merge_edges(pairs: Any, edges: Any, group: Any, sums: Any) -> Any:
    """Edges between groups of regions; takes the boundaries within groups off the perimeters in `sums`.

    Args:
        pairs: int32 (2, edges), of `sum_edges`.
        edges: float64 (edges, 3).
        group: int32: the group of each region.
        sums: of `merge_regions`; perimeters are made complete.

    Returns:
        As `sum_edges`.
    """
    table = _table(sums.shape[0])
    keys, merged = table
    for edge in range(pairs.shape[1]):
        one, other = group[pairs[0, edge]], group[pairs[1, edge]]
        if one == other:
            sums[one, PERIMETER] -= 2 * edges[edge, LENGTH]
        else:
            slot = _slot(keys, one, other)
            for column in range(3):
                merged[slot, column] += edges[edge, column]
    return _sorted_edges(table)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _sorted_edges(table: Any) -> Any:
    keys, edges = table
    found = np.sort(keys[keys >= 0])
    index = np.empty((2, len(found)), np.int32)
    sums = np.empty((len(found), 3), np.float64)
    for edge in range(len(found)):
        index[0, edge], index[1, edge] = found[edge] >> 32, found[edge] & 0xFFFFFFFF
        sums[edge] = edges[_slot(keys, index[0, edge], index[1, edge])]
    return index, sums
