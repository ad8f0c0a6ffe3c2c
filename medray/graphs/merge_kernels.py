"""Compiled loop that merges regions, the most alike first, until few enough are left: cuts of a merge tree."""

from typing import Any

import numba
import numpy as np


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _root(parent: Any, region: int) -> int:
    while parent[region] != region:
        parent[region] = parent[parent[region]]
        region = parent[region]
    return region


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _write_groups(parent: Any, groups: Any) -> None:
    """Number the sets in the order of their first regions, which are their roots."""
    count = 0
    for region in range(len(parent)):
        root = _root(parent, region)
        if root == region:
            groups[region] = count
            count += 1
        else:
            groups[region] = groups[root]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def merge_in_order(pairs: Any, order: Any, targets: Any, groups: Any) -> None:
    """Kruskal's algorithm, stopped at given counts.

    Args:
        pairs: int32 (2, edges): neighbouring regions.
        order: int64 (edges,): the edge to merge first, second …
        targets: int64, descending: counts of sets at which to note which region is in which set.
        groups: int32 (targets, regions), out: sets are numbered in the order of their first regions. Where the graph
            falls into more parts than a target, its sets are these parts.
    """
    parent = np.arange(groups.shape[1]).astype(np.int32)
    left, level = groups.shape[1], 0
    for edge in order:
        while level < len(targets) and left <= targets[level]:
            _write_groups(parent, groups[level])
            level += 1
        one, other = _root(parent, pairs[0, edge]), _root(parent, pairs[1, edge])
        if one != other:
            parent[max(one, other)] = min(one, other)
            left -= 1
    for rest in range(level, len(targets)):
        _write_groups(parent, groups[rest])
