"""Compiled loop that lays many region graphs side by side as one, both directions of each edge, sorted by target.

Graph by graph: what is read or written out of order is small enough for the nearest cache, and the outputs, which are
not, are written once, from the first value to the last.
"""

import math
from typing import Any

import numpy as np

from medray.graphs.compiled import borrowing, kernel
from medray.graphs.features import STATISTICS

MEAN = STATISTICS.index("mean")


@borrowing
def _fits(pairs: Any, nodes: int) -> bool:
    largest = np.uint32(0)
    for place in range(len(pairs)):
        largest = max(largest, pairs[place])
    return bool(len(pairs) == 0 or largest < nodes)


@borrowing
def _order_by_target(low: Any, high: Any, cursor: Any, order: Any) -> None:
    """Counting sort of one graph's directed edges: number k goes up from `low[k]`, k + edges down from `high[k]`.

    Edges are taken lower node by lower node. So those that come up to a node are placed before those that come down to
    it, and both by their sources.
    """
    edges, one = len(low), np.uint32(1)
    cursor[:] = 0
    for edge in range(edges):
        cursor[low[edge]] += one
    for edge in range(edges):
        cursor[high[edge]] += one
    first = np.uint32(0)
    for node in range(len(cursor)):
        entering = cursor[node]
        cursor[node] = first
        first += entering
    for edge in range(edges):
        lower, higher = low[edge], high[edge]
        place = cursor[lower]
        cursor[lower] = place + one
        order[place] = edges + edge
        place = cursor[higher]
        cursor[higher] = place + one
        order[place] = edge


@borrowing
def _scale(level: Any, dims: int) -> Any:
    """What turns shares of the longer side into sides of a region: regions of level 0, to the power of 1 / dims."""
    count = 0
    for node in range(len(level)):
        count += level[node] == 0
    return np.float32(math.sqrt(count) if dims == 2 else count ** (1 / 3))


@borrowing
def _gather_nodes(x: Any, pos: Any, values: Any) -> None:
    """Side by side what edges ask of their nodes: row, column, mean, and slice (0 in planes)."""
    last = pos.shape[1] - 1
    row, column = pos[:, last - 1], pos[:, last]
    for node in range(len(x)):
        values[node, 0], values[node, 1], values[node, 2], values[node, 3] = row[node], column[node], x[node, MEAN], 0
    if last == 2:
        for node in range(len(x)):
            values[node, 3] = pos[node, 0]


@borrowing
def _write_edges(first: int, scale: Any, edges: Any, nodes: Any, kinds: Any, out: Any) -> None:
    """Write the directed edges of one graph, whose first node is `first`; the others are counted from it."""
    order, pairs, stored = edges
    values, level = nodes
    directions, typed = kinds
    sources, targets, lines = out
    count, nought = np.uint32(len(stored)), np.float32(0)  # nought, added, makes 0.0 of -0.0
    for place in range(len(order)):
        number = order[place]
        down = number >= count
        edge = number - count if down else number
        source, target = pairs[number], pairs[edge if down else number + count]
        dy, dx = values[source, 0] - values[target, 0], values[source, 1] - values[target, 1]
        gap, dz = values[source, 2] - values[target, 2], values[source, 3] - values[target, 3]
        distance = math.sqrt(dy * dy + dx * dx + dz * dz) * scale
        sources[place], targets[place] = first + source, first + target
        lines[place, 0], lines[place, 1], lines[place, 2] = stored[edge, 0], stored[edge, 1], distance
        column = 3
        if directions == 3:
            lines[place, 3] = dz * scale + nought
            column = 4
        if directions:
            lines[place, column], lines[place, column + 1] = dy * scale + nought, dx * scale + nought
            column += 2
        lines[place, column] = gap + nought
        if typed:
            rise = np.float32(level[target]) - np.float32(level[source])
            lines[place, column + 1], lines[place, column + 2] = rise == 1, rise == -1


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
            (nodes,): the graph of each node.

    Returns:
        -1, or the number of a graph with an edge to a node that does not exist.
    """
    edge_ptr, pairs, stored = edges
    x, pos, level = nodes
    index, attributes, batch = out
    most, longest = 0, 0
    for graph in range(len(ptr) - 1):
        most, longest = max(most, ptr[graph + 1] - ptr[graph]), max(longest, edge_ptr[graph + 1] - edge_ptr[graph])
    cursors, orders = np.empty(most, np.uint32), np.empty(2 * longest, np.uint32)
    values = np.empty((most, 4), np.float32)
    for graph in range(len(ptr) - 1):
        node, node_end, edge, edge_end = ptr[graph], ptr[graph + 1], edge_ptr[graph], edge_ptr[graph + 1]
        batch[node:node_end] = graph
        start, end = 2 * edge, 2 * edge_end
        own, order, own_level = pairs[start:end], orders[: end - start], level[node:node_end]
        if not _fits(own, node_end - node):
            return graph
        _order_by_target(own[: edge_end - edge], own[edge_end - edge :], cursors[: node_end - node], order)
        _gather_nodes(x[node:node_end], pos[node:node_end], values)
        listed = (order, own, stored[edge:edge_end])
        there = (index[0, start:end], index[1, start:end], attributes[start:end])
        _write_edges(node, _scale(own_level, pos.shape[1]), listed, (values, own_level), kinds, there)
    return -1
