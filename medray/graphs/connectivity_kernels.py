"""Compiled loops that make every region one connected piece: run-length union-find, small pieces joined to a neighbour.

Pieces are 4-connected runs (see run_kernels) of one label. Deterministic. Label -1 lies outside a mask, and stays.
"""

from typing import Any

import numpy as np

from medray.graphs.compiled import borrowing, inner, kernel
from medray.graphs.run_kernels import find_contacts, find_runs

FILL = 32
"""Pixels that are written at once where a run is filled."""


@borrowing
def _root(parent: Any, piece: int) -> int:
    while parent[piece] != piece:
        parent[piece] = parent[parent[piece]]
        piece = parent[piece]
    return piece


@borrowing
def _join(parent: Any, one: int, other: int) -> None:
    """The earlier one becomes the root: roots stand in raster order, and a parent before its children."""
    a, b = _root(parent, one), _root(parent, other)
    parent[max(a, b)] = min(a, b)


@borrowing
def _number_roots(parent: Any) -> int:
    """Write the number of its root, counted 0 …, over each entry; the count."""
    count = 0
    for entry in range(len(parent)):
        is_root = parent[entry] == entry
        parent[entry] = count if is_root else parent[parent[entry]]
        count += is_root
    return count


@inner
def _pieces(flat: Any, starts: Any, contacts: Any) -> Any:
    """The piece of each run, int32, numbered in raster order, and how many pieces there are."""
    pieces = np.arange(len(starts) - 1).astype(np.int32)
    _join_runs(flat, starts, contacts, np.empty_like(contacts), pieces)
    return pieces, _number_roots(pieces)


@borrowing
def _join_runs(flat: Any, starts: Any, contacts: Any, within: Any, pieces: Any) -> None:
    """Join runs of one label that touch, which are listed in `within` first."""
    count = np.uint32(0)
    for contact in range(contacts.shape[0]):
        above, below = contacts[contact, 0], contacts[contact, 1]
        within[count, 0], within[count, 1] = above, below
        count += np.uint32(flat[starts[above]] == flat[starts[below]])
    for contact in range(count):
        _join(pieces, within[contact, 0], within[contact, 1])


@inner
def _measure(lines: Any, flat: Any, runs: Any, pieces: Any, count: int) -> Any:
    """Pixels (-1 outside the mask) and sums of the values of each piece; `lines` are the image's `running_sums`."""
    starts, first = runs
    columns = lines.shape[2] - 1
    sizes, totals = np.zeros(count, np.int64), np.zeros((count, len(lines)), np.float64)
    for line in range(len(first) - 1):
        for run in range(first[line], first[line + 1]):
            piece, start, end = pieces[run], starts[run] - line * columns, starts[run + 1] - line * columns
            if flat[starts[run]] < 0:
                sizes[piece] = -1
                continue
            sizes[piece] += end - start
            for channel in range(len(lines)):
                totals[piece, channel] += lines[channel, line, end] - lines[channel, line, start]
    return sizes, totals


@borrowing
def _link(one: int, other: int, sizes: Any, smallest: int, links: Any, count: Any) -> Any:
    """Write two neighbouring pieces down for each of them that is too small; how many links there are now.

    A piece outside the mask has size -1, and is in no link.
    """
    differ = (one != other) & (sizes[one] > 0) & (sizes[other] > 0)
    links[count, 0], links[count, 1] = one, other
    count += np.uint32(differ & (sizes[one] < smallest))
    links[count, 0], links[count, 1] = other, one
    return count + np.uint32(differ & (sizes[other] < smallest))


@borrowing
def _list_links(pieces: Any, first: Any, contacts: Any, small: Any, links: Any) -> Any:
    """Write pairs of a piece that is too small and a neighbour; a pair may stand there often. How many there are.

    Args:
        pieces: of each run.
        first: of `find_runs`.
        contacts: pairs of runs that touch from line to line.
        small: sizes of the pieces, and the smallest that is large enough.
        links: int32 (links, 2), out.
    """
    sizes, smallest = small
    count = np.uint32(0)
    for line in range(len(first) - 1):
        for run in range(first[line] + 1, first[line + 1]):
            one, other = pieces[run - 1], pieces[run]
            if min(sizes[one], sizes[other]) < smallest:
                count = _link(one, other, sizes, smallest, links, count)
    for contact in range(contacts.shape[0]):
        one, other = pieces[contacts[contact, 0]], pieces[contacts[contact, 1]]
        if min(sizes[one], sizes[other]) < smallest:
            count = _link(one, other, sizes, smallest, links, count)
    return count


@inner
def _choose(links: Any, sizes: Any, totals: Any) -> Any:
    """The neighbour of each small piece whose mean is nearest, the earlier one of two; the number of pieces for none.

    Means are nearest where the sum over the channels of their |difference| is least.
    """
    count, channels = totals.shape
    best, gaps, means = np.full(count, count, np.int32), np.full(count, np.inf), np.empty_like(totals)
    for piece in range(count):
        for channel in range(channels):
            means[piece, channel] = totals[piece, channel] / sizes[piece]
    for link in range(links.shape[0]):
        piece, other = links[link, 0], links[link, 1]
        gap = 0.0
        for channel in range(channels):
            gap += abs(means[piece, channel] - means[other, channel])
        held, least = best[piece], gaps[piece]
        nearer = (gap < least) | ((gap == least) & (other < held))
        best[piece], gaps[piece] = other if nearer else held, gap if nearer else least
    return best


@borrowing
def _join_small(parent: Any, best: Any, links: Any, sizes: Any, totals: Any, smallest: int) -> Any:
    """One round: each piece that is too small joins its best neighbour. How many links are left for the next round."""
    for piece in range(len(parent)):
        if best[piece] < len(parent):
            one, other = _root(parent, piece), _root(parent, best[piece])
            if one != other:
                _join(parent, one, other)
                keep, drop = min(one, other), max(one, other)
                sizes[keep] += sizes[drop]
                for channel in range(totals.shape[1]):
                    totals[keep, channel] += totals[drop, channel]
    for piece in range(len(parent)):
        parent[piece] = parent[parent[piece]]
    left = np.uint32(0)
    for link in range(links.shape[0]):
        piece, other = parent[links[link, 0]], parent[links[link, 1]]
        links[left, 0], links[left, 1] = piece, other
        left += np.uint32((piece != other) & (sizes[piece] < smallest))
    return left


@borrowing
def _fill(region: Any, start: int, end: int, flat: Any) -> None:
    """Write a run; what lies behind it is written later, so up to FILL pixels too many make no difference."""
    while start < end and start + FILL <= len(flat):
        block = flat[start : start + FILL]
        for index in range(FILL):
            block[index] = region
        start += FILL
    for index in range(start, end):
        flat[index] = region


@borrowing
def _number(pieces: Any, parent: Any, sizes: Any, starts: Any, flat: Any) -> int:
    """Write the number of the region of each pixel, -1 outside the mask; how many regions there are.

    The numbers of the regions of pieces take the place of their parents.
    """
    count = 0
    for piece in range(len(parent)):
        is_first = parent[piece] == piece and sizes[piece] >= 0
        parent[piece] = count if is_first else parent[parent[piece]] if sizes[piece] >= 0 else -1
        count += is_first
    for run in range(len(pieces)):
        _fill(parent[pieces[run]], starts[run], starts[run + 1], flat)
    return count


@kernel
def connect_runs(lines: Any, flat: Any, runs: Any, contacts: Any, smallest: int) -> Any:
    """`connect` on any lattice: what touches within a line follows from the runs, all other contacts are given.

    Args:
        lines: of `running_sums`, float64 (channels, lines, columns + 1).
        flat: labels, int32 (pixels,), in and out.
        runs: of `find_runs`.
        contacts: pairs of runs that touch, the earlier one first.
        smallest: pixels.
    """
    starts, first = runs
    pieces, count = _pieces(flat, starts, contacts)
    sizes, totals = _measure(lines, flat, runs, pieces, count)
    links = np.empty((2 * (len(pieces) + contacts.shape[0]), 2), np.int32)
    left = _list_links(pieces, first, contacts, (sizes, smallest), links)
    parent = np.arange(count).astype(np.int32)
    while left:
        best = _choose(links[:left], sizes, totals)
        left = _join_small(parent, best, links[:left], sizes, totals, smallest)
    return _number(pieces, parent, sizes, starts, flat)


@kernel
def connect(lines: Any, labels: Any, smallest: int) -> Any:
    """Split labels into connected pieces, join pieces of fewer than `smallest` pixels to a neighbour, number the rest.

    The neighbour is the one whose mean value is nearest. Two pieces that are large enough are never joined; a small
    one that a mask leaves without neighbours stays.

    Args:
        lines: of `running_sums`, float64 (channels, rows, columns + 1), for the means.
        labels: int32 (rows, columns); replaced by numbers 0 … in the raster order of the regions' first pixels.
        smallest: pixels.

    Returns:
        The number of regions.
    """
    flat = labels.reshape(-1)
    runs = find_runs(labels)
    contacts = find_contacts(runs[0], runs[1], labels.shape[1])
    return connect_runs(lines, flat, runs, contacts, smallest)
