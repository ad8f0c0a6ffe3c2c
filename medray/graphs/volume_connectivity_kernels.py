"""Compiled loops that make every region of a volume one connected piece: run-length union-find, small pieces joined.

Runs are the stretches of one label in one line of columns; pieces are runs of one label that touch at faces
(6-connected). Label -1 is no region: it is never joined and stays. Deterministic.
"""

from typing import Any

import numba
import numpy as np

from medray.graphs.connectivity_kernels import _join, _root


@numba.njit(nogil=True, cache=True, error_model="numpy")
def find_runs(labels: Any) -> Any:
    """Runs of an int32 (lines, columns) label map.

    Returns:
        Starts (int32, in flat voxel numbers; the end of a run is the next one's start, all voxels at the end), and the
        number of the first run of each line (int32, one more than lines).
    """
    lines, columns = labels.shape
    count = lines
    for line in range(lines):
        changes = 0
        for column in range(1, columns):
            changes += labels[line, column] != labels[line, column - 1]
        count += changes
    starts, first = np.empty(count + 1, np.int32), np.empty(lines + 1, np.int32)
    run = 0
    for line in range(lines):
        first[line] = run
        for column in range(columns):
            if column == 0 or labels[line, column] != labels[line, column - 1]:
                starts[run] = line * columns + column
                run += 1
    first[lines], starts[run] = run, lines * columns
    return starts, first


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _meet(runs: Any, one: int, other: int, columns: int, contacts: Any, count: int) -> int:
    """Write the runs of two lines that touch, from `count` on; the new count."""
    starts, first = runs
    shift = (other - one) * columns
    above, below = first[one], first[other]
    while above < first[one + 1] and below < first[other + 1]:
        contacts[count, 0], contacts[count, 1] = above, below
        count += 1
        end_above, end_below = starts[above + 1] + shift, starts[below + 1]
        if end_above <= end_below:
            above += 1
        if end_below <= end_above:
            below += 1
    return count


@numba.njit(nogil=True, cache=True, error_model="numpy")
def find_contacts(starts: Any, first: Any, shape: Any) -> Any:
    """Pairs of runs that touch from line to line.

    Args:
        starts: of `find_runs`.
        first: of `find_runs`.
        shape: slices, rows and columns.

    Returns:
        int32 (contacts, 2), the run that comes first and the other; those within slices, then those between slices;
        and how many lie within slices.
    """
    slices, rows, columns = shape
    most = 2 * (len(starts) - 1) * (int(rows > 1) + int(slices > 1))
    contacts = np.empty((most, 2), np.int32)
    count = 0
    for line in range(1, slices * rows):
        if line % rows:
            count = _meet((starts, first), line - 1, line, columns, contacts, count)
    within = count
    for line in range(rows, slices * rows):
        count = _meet((starts, first), line - rows, line, columns, contacts, count)
    return contacts[:count], within


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _offer(piece: int, other: int, sizes: Any, totals: Any, best: Any) -> None:
    """Remember the neighbour whose mean is nearest; the earlier one where two are equally near."""
    gap = abs(totals[piece] / sizes[piece] - totals[other] / sizes[other])
    held = best[piece]
    if held >= 0:
        held_gap = abs(totals[piece] / sizes[piece] - totals[held] / sizes[held])
        if gap > held_gap or (gap == held_gap and other >= held):
            return
    best[piece] = other


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _link(pieces: Any, one: int, other: int, links: Any, count: int) -> int:
    """Write two neighbouring pieces down where one is too small and both are regions; the new count."""
    parent, sizes, real, smallest = pieces
    a, b = parent[one], parent[other]
    links[count, 0], links[count, 1] = a, b
    return count + int(a != b and real[a] and real[b] and (sizes[a] < smallest or sizes[b] < smallest))


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _small_links(pieces: Any, first: Any, contacts: Any) -> Any:
    """Pairs of neighbouring pieces of which one is too small, int32 (links, 2); a pair may stand there often."""
    links = np.empty((len(pieces[0]) + len(contacts) + 1, 2), np.int32)
    count = 0
    for line in range(len(first) - 1):
        for run in range(first[line] + 1, first[line + 1]):
            count = _link(pieces, run - 1, run, links, count)
    for contact in range(len(contacts)):
        count = _link(pieces, contacts[contact, 0], contacts[contact, 1], links, count)
    return links[:count]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _join_small(parent: Any, links: Any, sizes: Any, totals: Any, smallest: int) -> bool:
    """One round: each piece that is too small joins its best neighbour. False where there was none to join."""
    best = np.full(len(parent), -1, np.int32)
    for link in range(len(links)):
        one, other = _root(parent, links[link, 0]), _root(parent, links[link, 1])
        if one != other:
            if sizes[one] < smallest:
                _offer(one, other, sizes, totals, best)
            if sizes[other] < smallest:
                _offer(other, one, sizes, totals, best)
    joined = False
    for piece in range(len(parent)):
        if best[piece] >= 0:
            one, other = _root(parent, piece), _root(parent, best[piece])
            if one != other:
                joined = True
                _join(parent, one, other)
                keep, drop = min(one, other), max(one, other)
                sizes[keep] += sizes[drop]
                totals[keep] += totals[drop]
    return joined


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _number(parent: Any, real: Any, starts: Any, flat: Any) -> int:
    """Write region numbers; a root stands before every other run of its region."""
    number = np.empty(len(parent), np.int32)
    count = 0
    for run in range(len(parent)):
        root = _root(parent, run)
        if root == run:
            number[run] = count if real[run] else -1
            count += real[run]
        region = number[root]
        for index in range(starts[run], starts[run + 1]):
            flat[index] = region
    return count


@numba.njit(nogil=True, cache=True, error_model="numpy")
def connect_volume(volume: Any, labels: Any, smallest: int) -> int:
    """Split labels into connected pieces, join pieces of fewer than `smallest` voxels to a neighbour, number the rest.

    The neighbour is the one whose mean value is nearest. Two pieces that are large enough are never joined; a piece
    that has no neighbour stays, however small.

    Args:
        volume: float32 (slices, rows, columns), for the means.
        labels: int32 (slices, rows, columns), -1 for no region; replaced by numbers 0 … in the raster order of the
            regions' first voxels.
        smallest: voxels.

    Returns:
        The number of regions.
    """
    slices, rows, columns = labels.shape
    values, flat = volume.reshape(-1), labels.reshape(-1)
    starts, first = find_runs(labels.reshape(slices * rows, columns))
    contacts, _ = find_contacts(starts, first, (slices, rows, columns))
    runs = len(starts) - 1
    parent = np.arange(runs).astype(np.int32)
    for contact in range(len(contacts)):
        above, below = contacts[contact, 0], contacts[contact, 1]
        if flat[starts[above]] == flat[starts[below]]:
            _join(parent, above, below)
    sizes, totals, real = np.zeros(runs, np.int64), np.zeros(runs, np.float64), np.empty(runs, np.bool_)
    for run in range(runs):
        parent[run] = _root(parent, run)
        total = 0.0
        for index in range(starts[run], starts[run + 1]):
            total += values[index]
        sizes[parent[run]] += starts[run + 1] - starts[run]
        totals[parent[run]] += total
        real[run] = flat[starts[run]] >= 0
    links = _small_links((parent, sizes, real, smallest), first, contacts)
    while _join_small(parent, links, sizes, totals, smallest):
        pass
    return _number(parent, real, starts, flat)
