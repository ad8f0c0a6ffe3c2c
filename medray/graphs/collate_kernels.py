"""Compiled loop that lays many region graphs side by side as one, both directions of each edge, sorted by target."""

import math
from typing import Any

import numpy as np

from medray.graphs.compiled import borrowing, kernel
from medray.graphs.features import STATISTICS

MEAN = STATISTICS.index("mean")


@borrowing
def _fits(index: Any, nodes: int) -> bool:
    outside = 0
    for place in range(len(index)):
        outside += index[place] >= nodes
    return outside == 0


@borrowing
def _place_starts(low: Any, high: Any, first: int, cursor: Any, ends: Any) -> None:
    """Where the edges that enter each node of one graph start, and where its edges to higher nodes start in `low`."""
    cursor[:] = 0
    for edge in range(len(high)):
        cursor[high[edge]] += 1
    edge, edges = 0, len(low)
    for target in range(len(cursor)):
        from_lower, ends[target] = cursor[target], edge
        while edge < edges and low[edge] == target:
            edge += 1
        cursor[target] = first
        first += from_lower + edge - ends[target]
    ends[len(cursor)] = edge


@borrowing
def _scale(level: Any, dims: int) -> Any:
    """What turns shares of the longer side into sides of a region: regions of level 0, to the power of 1 / dims."""
    count = 0
    for node in range(len(level)):
        count += level[node] == 0
    return np.float32(math.sqrt(count) if dims == 2 else count ** (1 / 3))


@borrowing
def _write(line: Any, stored: Any, derived: Any, sign: Any, kinds: Any) -> None:
    """Features of one directed edge; `derived` is told from its lower node to its higher one, `sign` turns it round."""
    distance, dz, dy, dx, gap, rise = derived
    directions, typed = kinds
    nought = np.float32(0)  # added, it makes 0.0 of -0.0
    line[0], line[1], line[2] = stored[0], stored[1], distance
    column = 3
    if directions == 3:
        line[column] = sign * dz + nought
        column += 1
    if directions:
        line[column], line[column + 1] = sign * dy + nought, sign * dx + nought
        column += 2
    line[column] = sign * gap + nought
    if typed:
        line[column + 1], line[column + 2] = sign * rise == 1, sign * rise == -1


@borrowing
def _join_graph(first: int, edges: Any, nodes: Any, kinds: Any, out: Any) -> None:
    """Write both directions of the edges of one graph, whose first node is `first`; the others are counted from it.

    Nodes go up: when one's turn comes, all edges from lower nodes have been written, and those from higher ones follow.
    """
    high, stored, cursor, ends = edges
    mean, pos, level = nodes
    index, attributes = out
    sources, targets = index[0], index[1]
    last = pos.shape[1] - 1
    scale, there, back = _scale(level, last + 1), np.float32(1), np.float32(-1)
    for one in range(len(mean)):
        start, end, place = ends[one], ends[one + 1], cursor[one]
        highs, kept = high[start:end], stored[start:end]
        source, target = sources[place : place + end - start], targets[place : place + end - start]
        lines = attributes[place : place + end - start]
        y, x, value = pos[one, last - 1], pos[one, last], mean[one]
        for edge in range(len(highs)):
            other = highs[edge]
            dz = np.float32(0)
            dy, dx = y - pos[other, last - 1], x - pos[other, last]
            squares = dy * dy + dx * dx
            if last == 2:
                dz = pos[one, 0] - pos[other, 0]
                squares += dz * dz
            gap, rise = value - mean[other], np.float32(level[other]) - np.float32(level[one])
            derived = (math.sqrt(squares) * scale, dz * scale, dy * scale, dx * scale, gap, rise)
            source[edge], target[edge] = first + other, first + one
            _write(lines[edge], kept[edge], derived, back, kinds)
            entry = cursor[other]
            cursor[other] = entry + 1
            sources[entry], targets[entry] = first + one, first + other
            _write(attributes[entry], kept[edge], derived, there, kinds)


@kernel
def join_graphs(ptr: Any, edges: Any, nodes: Any, kinds: Any, out: Any) -> int:
    """Write the directed edges of all graphs; sources ascend within a target.

    Args:
        ptr: first node of each graph and the end, int64.
        edges: first undirected edge of each graph and the end, int64; uint32, flat: the sources of a graph's edges,
            then their targets, lexicographic; the stored features, float32 (edges, 2).
        nodes: features (float32 (nodes, features)), positions (float32 (nodes, 2 or 3)), levels (uint8).
        kinds: how many directions to write (0, 2 or 3), and whether to write `to_parent` and `to_child`.
        out: int64 (2, 2 edges); float32 (2 edges, features): the `features.EDGE_FEATURES` that were chosen; int64
            (nodes,): the graph of each node; float32 (nodes, features): a copy of the features.

    Returns:
        -1, or the number of a graph with an edge to a node that does not exist.
    """
    edge_ptr, pairs, stored = edges
    x, pos, level = nodes
    index, attributes, batch, copy = out
    largest = 0
    for graph in range(len(ptr) - 1):
        largest = max(largest, ptr[graph + 1] - ptr[graph])
    cursors, ends = np.empty(largest, np.uint32), np.empty(largest + 1, np.uint32)
    for graph in range(len(ptr) - 1):
        node, node_end, first, end = ptr[graph], ptr[graph + 1], edge_ptr[graph], edge_ptr[graph + 1]
        batch[node:node_end] = graph
        own = pairs[2 * first : 2 * end]
        if not _fits(own, node_end - node):
            return graph
        low, high, cursor = own[: end - first], own[end - first :], cursors[: node_end - node]
        _place_starts(low, high, 2 * first, cursor, ends)
        copy[node:node_end] = x[node:node_end]
        here = (copy[node:node_end, MEAN], pos[node:node_end], level[node:node_end])
        _join_graph(node, (high, stored[first:end], cursor, ends), here, kinds, (index, attributes))
    return -1
