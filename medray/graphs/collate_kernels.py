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
def _place_starts(low: Any, high: Any, nodes: Any, first: int, cursors: Any) -> None:
    """Where the edges that enter each node of one graph start: those from lower nodes, then those from higher ones."""
    node, end = nodes
    from_low, from_high = cursors
    from_low[node:end] = 0
    from_high[node:end] = 0
    for edge in range(len(low)):
        from_low[node + high[edge]] += 1
        from_high[node + low[edge]] += 1
    for target in range(node, end):
        lower, higher = from_low[target], from_high[target]
        from_low[target], from_high[target] = first, first + lower
        first += lower + higher


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _scale(level: Any, dims: int) -> Any:
    """What turns shares of the longer side into sides of a region: regions of level 0, to the power of 1 / dims."""
    count = 0
    for node in range(len(level)):
        count += level[node] == 0
    return np.float32(math.sqrt(count) if dims == 2 else count ** (1 / 3))


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _write(place: int, ends: Any, edge: Any, sign: Any, kinds: Any, out: Any) -> None:
    """One directed edge; `edge` is described from its lower node to its higher one, and `sign` turns it round."""
    index, attributes = out
    stored, distance, steps, gap, rise = edge
    directed, typed = kinds
    index[0, place], index[1, place] = ends
    line = attributes[place]
    line[0], line[1], line[2] = stored[0], stored[1], distance
    column = 3
    if directed:
        for axis in range(len(steps)):
            line[column] = sign * steps[axis] + np.float32(0)  # -0.0 becomes 0.0
            column += 1
    line[column] = sign * gap + np.float32(0)
    if typed:
        line[column + 1], line[column + 2] = sign * rise == 1, sign * rise == -1


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _join_graph(nodes: Any, edges: Any, cursors: Any, kinds: Any, out: Any) -> None:
    """Write both directions of the edges of one graph, whose nodes are first … end."""
    mean, pos, level, first, end = nodes
    low, high, stored = edges
    from_low, from_high = cursors
    scale, steps = _scale(level[first:end], pos.shape[1]), np.empty(pos.shape[1], np.float32)
    for number in range(len(low)):
        one, other = first + low[number], first + high[number]
        squares = np.float32(0)
        for axis in range(len(steps)):
            step = pos[one, axis] - pos[other, axis]
            squares += step * step
            steps[axis] = step * scale
        rise = np.float32(level[other]) - np.float32(level[one])
        edge = (stored[number], math.sqrt(squares) * scale, steps, mean[one] - mean[other], rise)
        _write(from_low[other], (one, other), edge, np.float32(1), kinds, out)
        _write(from_high[one], (other, one), edge, np.float32(-1), kinds, out)
        from_low[other] += 1
        from_high[one] += 1


@numba.njit(nogil=True, cache=True, error_model="numpy")
def join_graphs(ptr: Any, edges: Any, nodes: Any, kinds: Any, out: Any) -> int:
    """Write the directed edges of all graphs; sources ascend within a target.

    Args:
        ptr: first node of each graph and the end, int64.
        edges: first undirected edge of each graph and the end, int64; int32, flat: the sources of a graph's edges, then
            their targets, lexicographic; the stored features, float32 (edges, 2).
        nodes: mean values (float32), positions (float32 (nodes, 2 or 3)), levels (uint8).
        kinds: whether to write the directions, and `to_parent` and `to_child`.
        out: int64 (2, 2 edges); float32 (2 edges, features): the `features.EDGE_FEATURES` that were chosen; int64
            (nodes,): the graph of each node.

    Returns:
        -1, or the number of a graph with an edge to a node that does not exist.
    """
    edge_ptr, pairs, stored = edges
    mean, pos, level = nodes
    index, attributes, batch = out
    cursors = np.empty(ptr[-1], np.int64), np.empty(ptr[-1], np.int64)
    for graph in range(len(ptr) - 1):
        node, node_end, first, end = ptr[graph], ptr[graph + 1], edge_ptr[graph], edge_ptr[graph + 1]
        batch[node:node_end] = graph
        own = pairs[2 * first : 2 * end]
        if not _fits(own, node_end - node):
            return graph
        low, high = own[: end - first], own[end - first :]
        _place_starts(low, high, (node, node_end), 2 * first, cursors)
        ours = (mean, pos, level, node, node_end)
        _join_graph(ours, (low, high, stored[first:end]), cursors, kinds, (index, attributes))
    return -1
