"""Which regions a graph joins beyond those that touch: the nearest ones, and those that regions merge into."""

import numpy as np
from jaxtyping import Float64, Int32, Int64

from medray.graphs.merge_kernels import merge_alike
from medray.graphs.neighbour_kernels import nearest
from medray.graphs.region_kernels import AREA, COLUMNS, ROWS
from medray.graphs.region_sums import Groups, RegionSums
from medray.image_settings import GraphRecipe

COARSER = (3, 12)
"""Regions of level 0 for each one of level 1 and of level 2."""

Edges = tuple[Int32[np.ndarray, "2 edges"], Float64[np.ndarray, "edges 3"]]
"""Pairs of nodes, lower one first, in lexicographic order, and the raw sums of their boundary."""


def nearest_edges(sums: RegionSums, recipe: GraphRecipe, mean_area: float) -> Edges:
    """Each region and the `recipe.neighbours` nearest to it in SLIC's distance; no boundary where they do not touch."""
    regions = len(sums)
    count = min(recipe.neighbours, regions - 1)
    if not count:
        return sums.pairs, sums.edges
    means, places = sums.means(), sums.regions[:, [ROWS, COLUMNS]] / sums.regions[:, AREA, None]
    scaled = places * (recipe.compactness / mean_area**0.5), means / means.shape[1] ** 0.5
    points = np.ascontiguousarray(np.hstack(scaled))  # one signature for the kernel
    ends = np.stack([np.repeat(np.arange(regions), count), nearest(points, count).ravel()])
    codes = np.unique(_codes(np.sort(ends, axis=0), regions))
    edges = np.zeros((len(codes), sums.edges.shape[1]))
    touching = _codes(sums.pairs, regions)
    _, ours, theirs = np.intersect1d(codes, touching, assume_unique=True, return_indices=True)
    edges[ours] = sums.edges[theirs]
    return np.stack(np.divmod(codes, regions)).astype(np.int32), edges


def _codes(pairs: np.ndarray, nodes: int) -> Int64[np.ndarray, " edges"]:
    """A number for each pair; the numbers are in the order of the pairs."""
    codes: Int64[np.ndarray, " edges"] = pairs[0].astype(np.int64) * nodes + pairs[1]
    return codes


def merge_levels(sums: RegionSums) -> list[Groups]:
    """The region of level 1, 2 … that each region of level 0 is part of.

    Of all neighbours the two merge that are most alike, and so on with what they became, until as many regions are left
    as `COARSER` says: (|difference of means| + contrast of the boundary) * sqrt(A B / (A + B)) is least, A and B being
    their areas. The areas are Ward's (1963): without them a few specks stay and the rest becomes one. Regions that do
    not hang together never merge.
    """
    groups = np.empty((len(COARSER), len(sums)), np.int32)
    targets = np.array([max(1, round(len(sums) / share)) for share in COARSER])
    areas = sums.regions[:, AREA].copy()
    merge_alike((sums.pairs.copy(), sums.edges.copy()), (areas, sums.means() * areas[:, None]), targets, groups)
    return list(groups)


def edges_of_levels(levels: list[RegionSums], groups: list[Groups]) -> Edges:
    """Neighbours within each level, and each region with the one above that it is part of; nodes go level by level."""
    starts = np.cumsum([0, *(len(level) for level in levels)])
    pairs = [level.pairs + np.int32(start) for level, start in zip(levels, starts, strict=False)]
    edges = [level.edges for level in levels]
    below = np.arange(len(levels[0]))
    for level, group in enumerate(groups):
        parent = np.empty(len(levels[level]), np.int32)
        parent[below] = group
        pairs.append(np.stack([starts[level] + np.arange(len(parent)), starts[level + 1] + parent]).astype(np.int32))
        edges.append(np.zeros((len(parent), 3)))
        below = group
    joined, sums = np.concatenate(pairs, axis=1), np.concatenate(edges)
    order = np.argsort(_codes(joined, int(starts[-1])))
    return joined[:, order], sums[order]
