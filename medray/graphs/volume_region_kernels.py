"""Compiled loops from a label map of a volume to its region adjacency graph: raw sums and edges.

They work run by run (see volume_connectivity_kernels). No fastmath, float64 sums in raster order. Labels must be 0 … in
regions, and -1 where there is none: whatever lies at -1 or at the volume's ends is border.
"""

import math
from typing import Any

import numpy as np

from medray.graphs.compiled import borrowing, inner, kernel

VOXELS, TOTAL, SQUARES, LOW, HIGH, GRADIENT, SURFACE, BORDER = range(8)
PLACE = 8
"""Columns of the raw sums of a region. From PLACE on: sums of slice, row and column, then of their products: slice with
slice, row and column, row with row and column, column with column. All places are in voxels."""
COLUMNS = 17

AREA, CONTRAST = range(2)
"""Columns of the raw sums of an edge: area of the boundary, |difference| times the area across which it is."""


@borrowing
def _step(low: Any, high: Any, at: Any, values: Any, labels: Any) -> Any:
    """Difference of two neighbours of a voxel, each replaced by the voxel where it is not real; all in flat numbers."""
    below = values[low] if labels[low] >= 0 else values[at]
    above = values[high] if labels[high] >= 0 else values[at]
    return above - below


@borrowing
def _gradient_line(values: Any, labels: Any, place: Any, halves: Any, out: Any) -> None:
    """Length of the gradient of one line, central differences; the volume goes on at its ends with its last value."""
    over, row = place
    slices, rows, columns = values.shape
    flat, marks = values.reshape(-1), labels.reshape(-1)
    start, size = (over * rows + row) * columns, rows * columns
    before, after = start - size * (over > 0), start + size * (over < slices - 1)
    above, below = start - columns * (row > 0), start + columns * (row < rows - 1)
    for column in range(columns):
        at, left, right = start + column, start + max(column - 1, 0), start + min(column + 1, columns - 1)
        through = halves[0] * _step(before + column, after + column, at, flat, marks)
        down = halves[1] * _step(above + column, below + column, at, flat, marks)
        across = halves[2] * _step(left, right, at, flat, marks)
        out[column] = math.sqrt(through * through + down * down + across * across)


@borrowing
def _add_run(values: Any, gradient: Any, place: Any, start: int, sums: Any) -> None:
    """Add a run, given as slices of its line, to the sums of its region."""
    total, squares, steepness = 0.0, 0.0, 0.0
    low, high = sums[LOW], sums[HIGH]
    for index in range(len(values)):
        value = np.float64(values[index])
        total += value
        squares += value * value
        steepness += gradient[index]
        low, high = min(low, value), max(high, value)
    count, over, row = np.float64(len(values)), np.float64(place[0]), np.float64(place[1])
    across = count * (start + (count - 1) / 2)
    sums[VOXELS] += count
    sums[TOTAL] += total
    sums[SQUARES] += squares
    sums[LOW], sums[HIGH] = low, high
    sums[GRADIENT] += steepness
    where = sums[PLACE:]
    where[0] += count * over
    where[1] += count * row
    where[2] += across
    where[3] += count * over * over
    where[4] += count * over * row
    where[5] += across * over
    where[6] += count * row * row
    where[7] += across * row
    where[8] += across * across / count + count * (count * count - 1) / 12


@kernel
def sum_volume_regions(volume: Any, labels: Any, runs: Any, regions: int, sizes: Any) -> Any:
    """Raw sums of each region but for the surface towards other labels.

    Args:
        volume: float32 (slices, rows, columns).
        labels: int32 (slices, rows, columns).
        runs: of `find_runs`.
        regions: how many.
        sizes: 1 / (2 sides of a voxel), float32 (3,), and areas of its faces across the three axes, float64 (3,).

    Returns:
        float64 (regions, 17); surface and border hold the faces at the volume's ends.
    """
    starts, first = runs
    halves, faces = sizes
    slices, rows, columns = volume.shape
    sums = np.zeros((regions, COLUMNS), np.float64)
    sums[:, LOW], sums[:, HIGH] = np.inf, -np.inf
    gradient = np.empty(columns, np.float32)
    for line in range(slices * rows):
        over, row = line // rows, line % rows
        _gradient_line(volume, labels, (over, row), halves, gradient)
        ends = ((over == 0) + (over == slices - 1)) * faces[0] + ((row == 0) + (row == rows - 1)) * faces[1]
        for run in range(first[line], first[line + 1]):
            start, end = starts[run] - line * columns, starts[run + 1] - line * columns
            label = labels[over, row, start]
            if label >= 0:
                _add_run(volume[over, row, start:end], gradient[start:end], (over, row), start, sums[label])
                sums[label, BORDER] += ((start == 0) + (end == columns)) * faces[2] + ends * (end - start)
    sums[:, SURFACE] = sums[:, BORDER]
    return sums


@borrowing
def _slot(keys: Any, low: Any, high: Any) -> Any:
    """Place of an edge in the open-addressed table, or where it belongs."""
    key = np.int64(low) << 32 | np.int64(high)
    mask = len(keys) - 1
    slot = (np.int64(low) * 73856093 ^ np.int64(high) * 19349663) & mask
    while keys[slot] != key and keys[slot] >= 0:
        slot = (slot + 1) & mask
    return slot


@inner
def _grown(keys: Any, edges: Any) -> Any:
    """The same edges in a table twice as large."""
    larger, sums = np.full(2 * len(keys), -1, np.int64), np.zeros((2 * len(keys), 2), np.float64)
    for slot in range(len(keys)):
        if keys[slot] >= 0:
            place = _slot(larger, keys[slot] >> 32, keys[slot] & 0xFFFFFFFF)
            larger[place] = keys[slot]
            sums[place] = edges[slot]
    return larger, sums


@inner
def _add_contact(table: Any, sums: Any, pair: Any, area: float, contrast: float) -> Any:
    """Add a contact of two labels, of which one may be -1, to its edge and both surfaces; the table, grown if full."""
    low, high = min(pair[0], pair[1]), max(pair[0], pair[1])
    sums[high, SURFACE] += area
    if low < 0:
        sums[high, BORDER] += area
        return table
    sums[low, SURFACE] += area
    keys, edges, count = table
    slot = _slot(keys, low, high)
    if keys[slot] < 0:
        keys[slot] = np.int64(low) << 32 | np.int64(high)
        count += 1
    edges[slot, AREA] += area
    edges[slot, CONTRAST] += contrast
    if 2 * count > len(keys):
        keys, edges = _grown(keys, edges)
    return keys, edges, count


@kernel
def sum_volume_edges(volume: Any, labels: Any, runs: Any, contacts: Any, sums: Any, faces: Any) -> Any:
    """Pairs of neighbouring regions, each once; adds the surfaces inside the volume to `sums`.

    Args:
        volume: float32 (slices, rows, columns).
        labels: int32 (slices, rows, columns).
        runs: of `find_runs`.
        contacts: of `find_contacts`.
        sums: of `sum_volume_regions`.
        faces: areas of a voxel's faces across the three axes, float64 (3,).

    Returns:
        int32 (2, edges), lower region first, in lexicographic order, and float64 (edges, 2).
    """
    starts, first = runs
    touching, within = contacts
    _, rows, columns = volume.shape
    values, flat = volume.reshape(-1), labels.reshape(-1)
    table = (np.full(64, -1, np.int64), np.zeros((64, 2), np.float64), 0)
    for line in range(len(first) - 1):
        for run in range(first[line] + 1, first[line + 1]):
            at = starts[run]
            step = abs(np.float64(values[at]) - values[at - 1])
            table = _add_contact(table, sums, (flat[at - 1], flat[at]), faces[2], faces[2] * step)
    for contact in range(len(touching)):
        above, below = touching[contact]
        pair = (flat[starts[above]], flat[starts[below]])
        if pair[0] != pair[1]:
            shift, face = (columns, faces[1]) if contact < within else (rows * columns, faces[0])
            start, end = max(starts[above] + shift, starts[below]), min(starts[above + 1] + shift, starts[below + 1])
            total = 0.0
            for at in range(start, end):
                total += abs(np.float64(values[at]) - values[at - shift])
            table = _add_contact(table, sums, pair, face * (end - start), face * total)
    return _sorted_edges(table[0], table[1])


@inner
def _sorted_edges(keys: Any, edges: Any) -> Any:
    found = np.sort(keys[keys >= 0])
    index = np.empty((2, len(found)), np.int32)
    sums = np.empty((len(found), 2), np.float64)
    for edge in range(len(found)):
        low, high = found[edge] >> 32, found[edge] & 0xFFFFFFFF
        index[0, edge], index[1, edge] = low, high
        sums[edge] = edges[_slot(keys, low, high)]
    return index, sums
