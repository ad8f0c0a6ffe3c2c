"""Compiled loop that lays many region graphs side by side as one, both directions of each edge, sorted by target."""

import math
from typing import Any

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _fits(index: Any, nodes: int) -> bool:
    outside = 0
    for place in range(len(index)):
        outside += (index[place] < 0) | (index[place] >= nodes)
    return outside == 0


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _write(place: int, source: int, target: int, stored: Any, nodes: Any, out: Any) -> None:
    """One directed edge with its derived features."""
    mean, pos, scale = nodes
    index, attributes = out
    dy, dx = pos[source, 0] - pos[target, 0], pos[source, 1] - pos[target, 1]
    index[0, place], index[1, place] = source, target
    line = attributes[place]
    line[0], line[1] = stored[0], stored[1]
    line[2] = math.sqrt(dy * dy + dx * dx) * scale
    line[3], line[4] = dy * scale, dx * scale
    line[5] = mean[source] - mean[target]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _place_starts(pairs: Any, node: int, end: int, first: int, cursor: Any) -> None:
    """Where the edges that enter each node of one graph start; the graph's nodes are node … end."""
    cursor[node:end] = 0
    for edge in range(len(pairs)):
        cursor[node + pairs[edge]] += 1
    for target in range(node, end):
        count = cursor[target]
        cursor[target] = first
        first += count


@numba.njit(nogil=True, cache=True, error_model="numpy")
def join_graphs(ptr: Any, edge_ptr: Any, pairs: Any, stored: Any, nodes: Any, out: Any) -> int:
    """Write the directed edges of all graphs; sources ascend within a target.

    Args:
        ptr: first node of each graph and the end, int64.
        edge_ptr: first undirected edge of each graph and the end, int64.
        pairs: int32, flat: the sources of a graph's edges, then their targets, lexicographic.
        stored: float32 (edges, 2).
        nodes: mean values (float32), positions (float32 (nodes, 2)).
        out: int64 (2, 2 edges) and float32 (2 edges, 6), in the order of `features.EDGE_FEATURES`.

    Returns:
        -1, or the number of a graph with an edge to a node that does not exist.
    """
    mean, pos = nodes
    cursor = np.empty(ptr[-1], np.int64)
    for graph in range(len(ptr) - 1):
        node, first, end = ptr[graph], edge_ptr[graph], edge_ptr[graph + 1]
        own = pairs[2 * first : 2 * end]
        if not _fits(own, ptr[graph + 1] - node):
            return graph
        _place_starts(own, node, ptr[graph + 1], 2 * first, cursor)
        record = (mean, pos, np.float32(math.sqrt(ptr[graph + 1] - node)))
        low, high = own[: end - first], own[end - first :]
        for edge in range(end - first):
            source, target = node + low[edge], node + high[edge]
            _write(cursor[target], source, target, stored[first + edge], record, out)
            cursor[target] += 1
        for edge in range(end - first):
            source, target = node + high[edge], node + low[edge]
            _write(cursor[target], source, target, stored[first + edge], record, out)
            cursor[target] += 1
    return -1
