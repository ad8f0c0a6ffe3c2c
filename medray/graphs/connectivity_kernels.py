"""Compiled loops that make every region one connected piece: run-length union-find, small pieces joined to a neighbour.

Runs are the stretches of one label in one row; pieces are 4-connected runs of one label. Deterministic. Label -1 lies
outside a mask, and stays.
"""

from typing import Any

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, error_model="numpy")
def find_runs(labels: Any) -> Any:
    """Runs of an int32 (rows, columns) label map.

    Returns:
        Starts (int32, the end of a run is the next one's start, rows * columns at the end, in flat pixel numbers),
        and the number of the first run of each row (int32, one more than rows).
    """
    rows, columns = labels.shape
    count = rows
    for row in range(rows):
        line = labels[row]
        changes = 0
        for column in range(1, columns):
            changes += line[column] != line[column - 1]
        count += changes
    starts = np.empty(count + 1, np.int32)
    first = np.empty(rows + 1, np.int32)
    run = 0
    for row in range(rows):
        line = labels[row]
        first[row] = run
        starts[run] = row * columns
        run += 1
        for column in range(1, columns):
            if line[column] != line[column - 1]:
                starts[run] = row * columns + column
                run += 1
    first[rows] = run
    starts[run] = rows * columns
    return starts, first


@numba.njit(nogil=True, cache=True, error_model="numpy")
def find_contacts(starts: Any, first: Any, columns: int) -> Any:
    """Pairs of runs that touch from row to row: int32 (contacts, 2), upper run and lower run."""
    rows = len(first) - 1
    contacts = np.empty((2 * (len(starts) - 1), 2), np.int32)
    count = 0
    for row in range(1, rows):
        above, below = first[row - 1], first[row]
        while above < first[row] and below < first[row + 1]:
            contacts[count, 0], contacts[count, 1] = above, below
            count += 1
            end_above, end_below = starts[above + 1] + columns, starts[below + 1]
            if end_above <= end_below:
                above += 1
            if end_below <= end_above:
                below += 1
    return contacts[:count]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _root(parent: Any, run: int) -> int:
    while parent[run] != run:
        parent[run] = parent[parent[run]]
        run = parent[run]
    return run


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _join(parent: Any, one: int, other: int) -> None:
    """The earlier run becomes the root: roots stand in raster order."""
    a, b = _root(parent, one), _root(parent, other)
    if a < b:
        parent[b] = a
    else:
        parent[a] = b


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _gap(one: int, other: int, sizes: Any, totals: Any) -> float:
    """Sum over channels of the |difference of means| of two pieces."""
    gap = 0.0
    for channel in range(totals.shape[1]):
        gap += abs(totals[one, channel] / sizes[one] - totals[other, channel] / sizes[other])
    return gap


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _offer(piece: int, other: int, sizes: Any, totals: Any, best: Any) -> None:
    """Remember the neighbour whose mean is nearest; the earlier one where two are equally near."""
    gap, held = _gap(piece, other, sizes, totals), best[piece]
    if held >= 0:
        held_gap = _gap(piece, held, sizes, totals)
        if gap > held_gap or (gap == held_gap and other >= held):
            return
    best[piece] = other


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _small_links(parent: Any, first: Any, contacts: Any, sizes: Any, smallest: int) -> Any:
    """Pairs of neighbouring pieces of which one is too small, int32 (links, 2); a pair may stand there often.

    A piece outside the mask has size -1, and is in no pair.
    """
    links = np.empty((len(parent) + contacts.shape[0], 2), np.int32)
    count = 0
    for row in range(len(first) - 1):
        for run in range(first[row] + 1, first[row + 1]):
            one, other = parent[run - 1], parent[run]
            links[count, 0], links[count, 1] = one, other
            count += one != other and 0 < min(sizes[one], sizes[other]) < smallest
    for contact in range(contacts.shape[0]):
        one, other = parent[contacts[contact, 0]], parent[contacts[contact, 1]]
        links[count, 0], links[count, 1] = one, other
        count += one != other and 0 < min(sizes[one], sizes[other]) < smallest
    return links[:count]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _join_small(parent: Any, links: Any, sizes: Any, totals: Any, smallest: int) -> bool:
    """One round: each piece that is too small joins its best neighbour. False where there was none to join."""
    best = np.full(len(parent), -1, np.int32)
    for link in range(links.shape[0]):
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
                for channel in range(totals.shape[1]):
                    totals[keep, channel] += totals[drop, channel]
    return joined


@numba.njit(nogil=True, cache=True, error_model="numpy")
def connect(image: Any, labels: Any, smallest: int) -> int:
    """Split labels into connected pieces, join pieces of fewer than `smallest` pixels to a neighbour, number the rest.

    The neighbour is the one whose mean value is nearest. Two pieces that are large enough are never joined; a small
    one that a mask leaves without neighbours stays.

    Args:
        image: float32 (channels, rows, columns), for the means.
        labels: int32 (rows, columns); replaced by numbers 0 … in the raster order of the regions' first pixels.
        smallest: pixels.

    Returns:
        The number of regions.
    """
    flat = labels.reshape(-1)
    starts, first = find_runs(labels)
    contacts = find_contacts(starts, first, labels.shape[1])
    runs = len(starts) - 1
    parent = np.arange(runs).astype(np.int32)
    for contact in range(contacts.shape[0]):
        above, below = contacts[contact, 0], contacts[contact, 1]
        if flat[starts[above]] == flat[starts[below]]:
            _join(parent, above, below)
    sizes, totals = _measure(image, flat, starts, parent)
    links = _small_links(parent, first, contacts, sizes, smallest)
    while _join_small(parent, links, sizes, totals, smallest):
        pass
    return _number(parent, starts, flat)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _measure(image: Any, flat: Any, starts: Any, parent: Any) -> Any:
    """Pixels (-1 outside the mask) and sums of the values of each piece, at its root; every run is led to its root."""
    channels, runs = image.shape[0], len(parent)
    values = image.reshape(channels, len(flat))
    sizes, totals = np.zeros(runs, np.int64), np.zeros((runs, channels), np.float64)
    for run in range(runs):
        root = parent[run] = _root(parent, run)
        start, end = starts[run], starts[run + 1]
        if flat[start] < 0:
            sizes[root] = -1
            continue
        sizes[root] += end - start
        for channel in range(channels):
            line = values[channel, start:end]
            total = 0.0
            for index in range(len(line)):
                total += line[index]
            totals[root, channel] += total
    return sizes, totals


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _number(parent: Any, starts: Any, flat: Any) -> int:
    """Write region numbers; a root stands before every other run of its region."""
    number = np.empty(len(parent), np.int32)
    count = 0
    for run in range(len(parent)):
        if flat[starts[run]] < 0:
            continue
        root = _root(parent, run)
        if root == run:
            number[run] = count
            count += 1
        region = number[root]
        for index in range(starts[run], starts[run + 1]):
            flat[index] = region
    return count
