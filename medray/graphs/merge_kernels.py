"""Compiled loop that merges neighbouring regions, the most alike first, until few enough are left: a merge tree's cuts.

Every merge looks at every edge that is left: 1 ms for 400 regions, a hundred times that for 4,000.
"""

import math
from typing import Any

import numpy as np

from medray.graphs.compiled import borrowing, kernel
from medray.graphs.edge_kernels import CONTRAST, PAIRS


@borrowing
def _unlikeness(one: int, other: int, boundary: Any, areas: Any, totals: Any) -> float:
    """(Mean over channels of |difference of means| + contrast of the boundary) * sqrt(A B / (A + B)) of the areas."""
    gap, channels = 0.0, totals.shape[1]
    for channel in range(channels):
        gap += abs(totals[one, channel] / areas[one] - totals[other, channel] / areas[other])
    size = math.sqrt(areas[one] * areas[other] / (areas[one] + areas[other]))
    unlikeness: float = (gap / channels + boundary[CONTRAST] / boundary[PAIRS]) * size
    return unlikeness


@borrowing
def _redirect(kept: int, dropped: int, graph: Any, count: int, place: Any) -> int:
    """Give the edges of one region to another, and make one of two that join the same regions; how many are left.

    Args:
        kept: the region that gets the edges.
        dropped: the region that loses them.
        graph: ends int32 (2, edges), boundaries float64 (edges, 3), unlikeness float64 (edges,).
        count: edges, the first of these arrays.
        place: int32 (regions,), all -1; afterwards where the edge to each neighbour is.
    """
    ends, boundaries, unlike = graph
    left = 0
    for edge in range(count):
        one = kept if ends[0, edge] == dropped else ends[0, edge]
        other = kept if ends[1, edge] == dropped else ends[1, edge]
        if one == other:
            continue
        if kept in (one, other):
            far = other if one == kept else one
            if place[far] >= 0:
                for column in range(3):
                    boundaries[place[far], column] += boundaries[edge, column]
                continue
            place[far] = left
        ends[0, left], ends[1, left], unlike[left] = min(one, other), max(one, other), unlike[edge]
        for column in range(3):
            boundaries[left, column] = boundaries[edge, column]
        left += 1
    return left


@borrowing
def _measure(changed: Any, graph: Any, count: int, nodes: Any, place: Any) -> int:
    """Measure the edges of a region anew (of all for -1); the first of those whose ends are most alike."""
    ends, boundaries, unlike = graph
    areas, totals = nodes
    best = 0
    for edge in range(count):
        one, other = ends[0, edge], ends[1, edge]
        if changed < 0 or changed in (one, other):
            unlike[edge] = _unlikeness(one, other, boundaries[edge], areas, totals)
            place[one] = place[other] = -1
        if unlike[edge] < unlike[best]:
            best = edge
    return best


@borrowing
def _write_groups(parent: Any, groups: Any) -> None:
    """Number the sets in the order of their first regions, their roots; parents stand before their children."""
    count = 0
    for region in range(len(parent)):
        if parent[region] == region:
            groups[region] = count
            count += 1
        else:
            groups[region] = groups[parent[region]]


@kernel
def merge_alike(graph: Any, nodes: Any, targets: Any, groups: Any) -> None:
    """Merge the two neighbours that are most alike, take the sums of both, and go on; the first of equally alike ones.

    Args:
        graph: neighbours, int32 (2, edges), lower one first, in lexicographic order, and the raw sums of their
            boundaries, float64 (edges, 3). Both are written over.
        nodes: areas, float64 (regions,), and sums of values, float64 (regions, channels). Both are written over.
        targets: int64, descending: counts of sets at which to note which region is in which set.
        groups: int32 (targets, regions), out: sets are numbered in the order of their first regions. Where the graph
            falls into more parts than a target, its sets are these parts.
    """
    ends, boundaries = graph
    areas, totals = nodes
    regions, count = len(areas), ends.shape[1]
    parent, place = np.arange(regions).astype(np.int32), np.full(regions, -1, np.int32)
    edges, left = (ends, boundaries, np.empty(count, np.float64)), regions
    best = _measure(np.int32(-1), edges, count, nodes, place)
    for level in range(len(targets)):
        while left > targets[level] and count:
            kept, dropped = ends[0, best], ends[1, best]
            parent[dropped] = kept
            areas[kept] += areas[dropped]
            for channel in range(totals.shape[1]):
                totals[kept, channel] += totals[dropped, channel]
            left -= 1
            count = _redirect(kept, dropped, edges, count, place)
            best = _measure(kept, edges, count, nodes, place)
        _write_groups(parent, groups[level])
