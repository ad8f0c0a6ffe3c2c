"""Compiled loops from a label map to the pairs of regions that touch: boundary length and contrast, once each.

They work run by run (see connectivity_kernels): an edge is looked up once a contact. No fastmath, float64 sums in
raster order; the edges come out sorted.
"""

from typing import Any

import numba
import numpy as np

from medray.graphs.region_kernels import BORDER, PERIMETER

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
def _step(values: Any, one: int, other: int) -> float:
    """Sum over channels of the |difference| of two pixels."""
    total = 0.0
    for channel in range(values.shape[0]):
        total += abs(np.float64(values[channel, one]) - values[channel, other])
    return total


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _add_contact(table: Any, sums: Any, ends: Any, length: float, measured: Any) -> None:
    """A stretch of boundary between two regions, or between one and what lies outside the mask."""
    one, other = ends
    if one < 0 or other < 0:
        sums[max(one, other), BORDER] += length
        sums[max(one, other), PERIMETER] += length
        return
    keys, edges = table
    edge = edges[_slot(keys, one, other)]
    edge[LENGTH] += length
    edge[CONTRAST] += measured[0]
    edge[PAIRS] += measured[1]
    sums[one, PERIMETER] += length
    sums[other, PERIMETER] += length


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
def sum_edges(image: Any, labels: Any, runs: Any, contacts: Any, sums: Any, corners: bool) -> Any:
    """Pairs of neighbouring regions, each once; adds the perimeters inside the image to `sums`.

    Args:
        image: float32 (channels, rows, columns).
        labels: int32 (rows, columns) of 4-connected regions.
        runs: of `find_runs`.
        contacts: of `find_contacts`.
        sums: of `sum_regions`.
        corners: also join regions that meet in a corner only (length 0), for grids.

    Returns:
        int32 (2, edges), lower region first, in lexicographic order, and float64 (edges, 3).
    """
    starts, first = runs
    channels, rows, columns = image.shape
    values, flat = image.reshape(channels, rows * columns), labels.reshape(-1)
    table = _table(sums.shape[0])
    for row in range(rows):
        for run in range(first[row] + 1, first[row + 1]):
            at = starts[run]
            _add_contact(table, sums, (flat[at - 1], flat[at]), 1.0, (_step(values, at, at - 1), channels))
    for contact in range(contacts.shape[0]):
        above, below = contacts[contact, 0], contacts[contact, 1]
        ends = flat[starts[above]], flat[starts[below]]
        if ends[0] != ends[1]:
            start = max(starts[above] + columns, starts[below])
            end = min(starts[above + 1] + columns, starts[below + 1])
            total = 0.0
            for channel in range(channels):
                lower, upper = values[channel, start:end], values[channel, start - columns : end - columns]
                for index in range(len(lower)):
                    total += abs(np.float64(lower[index]) - upper[index])
            length = end - start
            _add_contact(table, sums, ends, np.float64(length), (total, length * channels))
    if corners:
        _add_corners(values, labels, table)
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
        low, high = found[edge] >> 32, found[edge] & 0xFFFFFFFF
        index[0, edge], index[1, edge] = low, high
        sums[edge] = edges[_slot(keys, low, high)]
    return index, sums
