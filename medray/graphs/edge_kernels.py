"""Compiled loops from a label map to the pairs of regions that touch: boundary length and contrast, once each.

They work run by run (see run_kernels): only pixels at a boundary are looked at, and an edge is looked up once for all
sides that two runs share. No fastmath, float64 sums in raster order; the edges come out sorted.
"""

from typing import Any

import numpy as np

from medray.graphs.compiled import borrowing, inner, kernel
from medray.graphs.region_kernels import BORDER, PERIMETER
from medray.graphs.run_kernels import meet

LENGTH, CONTRAST, PAIRS = range(3)
"""Columns of the raw sums of an edge: pixel sides, sum of |difference|, pairs of values that were compared."""


@borrowing
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


@inner
def _table(nodes: int) -> Any:
    """Keys and sums of an empty open-addressed table.

    It is large enough: regions that touch make a planar graph of at most 3 edges a node, and those that meet in falling
    (or rising) corners make another one together with it.
    """
    capacity = 16
    while capacity < 8 * nodes:
        capacity *= 2
    return np.full(capacity, -1, np.int64), np.zeros((capacity, 3), np.float64)


@borrowing
def _step(values: Any, one: Any, other: Any) -> float:
    """Sum over channels of the |difference| of two pixels."""
    total = 0.0
    for channel in range(values.shape[0]):
        total += abs(np.float64(values[channel, one]) - values[channel, other])
    return total


@borrowing
def _add_sides(table: Any, sums: Any, image: Any, sides: Any) -> None:
    """Sides between two regions, or between one and what lies outside the mask.

    Args:
        table: of `_table`.
        sums: of `sum_regions`.
        image: float32 (channels, pixels) values, and the int32 label of each pixel.
        sides: the first of the pixels on one side, the end of them, and how far before each lies the one across it.
    """
    keys, edges = table
    values, flat = image
    start, end, back = sides
    one, other = flat[start - back], flat[start]
    if one < 0 or other < 0:
        sums[max(one, other), BORDER] += end - start
        sums[max(one, other), PERIMETER] += end - start
        return
    slot = _slot(keys, one, other)
    contrast = edges[slot, CONTRAST]
    for at in range(start, end):
        contrast += _step(values, at, at - back)
    edges[slot, LENGTH] += end - start
    edges[slot, CONTRAST] = contrast


@borrowing
def _add_corner(table: Any, one: int, other: int, contrast: float, channels: int) -> None:
    keys, edges = table
    if one != other and one >= 0 and other >= 0:
        slot = _slot(keys, one, other)
        edges[slot, CONTRAST] += contrast
        edges[slot, PAIRS] += channels


@borrowing
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


@borrowing
def _finish_lengths(index: Any, edges: Any, sums: Any, channels: int) -> None:
    """What follows from the length of each boundary: pairs of values that were compared, perimeters of both sides."""
    for edge in range(index.shape[1]):
        length = edges[edge, LENGTH]
        edges[edge, PAIRS] += length * channels
        sums[index[0, edge], PERIMETER] += length
        sums[index[1, edge], PERIMETER] += length


@kernel
def sum_edges(image: Any, labels: Any, runs: Any, sums: Any, corners: bool) -> Any:
    """Pairs of neighbouring regions, each once; adds the perimeters inside the image to `sums`.

    Args:
        image: float32 (channels, rows, columns).
        labels: int32 (rows, columns) of 4-connected regions.
        runs: of `find_runs`.
        sums: of `sum_regions`.
        corners: also join regions that meet in a corner only (length 0), for grids.

    Returns:
        int32 (2, edges), lower region first, in lexicographic order, and float64 (edges, 3).
    """
    channels, rows, columns = image.shape
    values, table = image.reshape(channels, rows * columns), _table(sums.shape[0])
    _add_rows(table, sums, (values, labels.reshape(-1)), runs, np.empty((2 * columns, 2), np.int32))
    if corners:
        _add_corners(values, labels, table)
    index, edges = _sorted_edges(table, sums.shape[0])
    _finish_lengths(index, edges, sums, channels)
    return index, edges


@borrowing
def _add_rows(table: Any, sums: Any, image: Any, runs: Any, contacts: Any) -> None:
    """All sides, row by row: between the pixels of a row, then towards the row above; `contacts` is to work in."""
    starts, first = runs
    _, flat = image
    rows = len(first) - 1
    columns = len(flat) // rows
    for row in range(rows):
        for run in range(first[row] + 1, first[row + 1]):
            _add_sides(table, sums, image, (starts[run], starts[run] + 1, 1))
        for contact in range(meet(runs, (row - 1, row), columns, contacts, np.uint32(0)) if row else 0):
            above, below = contacts[contact, 0], contacts[contact, 1]
            start = max(starts[above] + columns, starts[below])
            end = min(starts[above + 1] + columns, starts[below + 1])
            if flat[start] != flat[start - columns]:
                _add_sides(table, sums, image, (start, end, columns))


@kernel
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
    return _sorted_edges(table, sums.shape[0])


@inner
def _sorted_edges(table: Any, nodes: int) -> Any:
    """Edges of a table in lexicographic order: by their higher nodes, then, keeping that order, by their lower."""
    keys, sums = table
    slots, count = np.empty(len(keys), np.int32), np.uint32(0)
    for slot in range(len(keys)):
        slots[count] = slot
        count += np.uint32(keys[slot] >= 0)
    order = _sorted_by(keys & 0xFFFFFFFF, slots[:count], nodes)
    order = _sorted_by(keys >> 32, order, nodes)
    index, edges = np.empty((2, count), np.int32), np.empty((count, 3), np.float64)
    for edge in range(count):
        slot = order[edge]
        index[0, edge], index[1, edge] = keys[slot] >> 32, keys[slot] & 0xFFFFFFFF
        for column in range(3):
            edges[edge, column] = sums[slot, column]
    return index, edges


@inner
def _sorted_by(nodes: Any, slots: Any, count: int) -> Any:
    """Slots by the number, below `count`, that `nodes` has for each; equal ones keep their order."""
    ends, order = np.zeros(count + 1, np.int32), np.empty_like(slots)
    for place in range(len(slots)):
        ends[nodes[slots[place]] + 1] += 1
    for node in range(count):
        ends[node + 1] += ends[node]
    for place in range(len(slots)):
        node = nodes[slots[place]]
        order[ends[node]] = slots[place]
        ends[node] += 1
    return order


@kernel
def describe_boundaries(edges: Any, side: float, out: Any) -> None:
    """The stored edge features of float64 (edges, 3) sums into float32 (edges, 2); `side`: sqrt(M) of features.py."""
    for edge in range(edges.shape[0]):
        out[edge, 0] = edges[edge, LENGTH] / side
        out[edge, 1] = edges[edge, CONTRAST] / max(edges[edge, PAIRS], 1.0)
