"""What is summed over regions, and what it says about them. Sums of merged regions are sums of these sums."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int32

from medray.graphs.edge_kernels import describe_boundaries, merge_edges
from medray.graphs.features import POSITION, STATISTICS
from medray.graphs.image_kernels import sum_image
from medray.graphs.label_map import Labels, View
from medray.graphs.region_kernels import AREA, add_rows, describe_regions, merge_regions
from medray.graphs.texture import describe_texture, pattern_counts, texture_sums
from medray.image_settings import GraphRecipe

Groups = Int32[np.ndarray, " regions"]


@dataclass(frozen=True, eq=False)
class RegionSums:
    """Raw sums of the regions of an image and of the boundaries between them.

    Attributes:
        regions: columns of `region_kernels`.
        colours: sums of each channel's values and of their squares; no channels where the image has one.
        texture: of `texture_sums`; no columns where the recipe wants none.
        patterns: of `pattern_counts`; no columns where the recipe wants none.
        pairs: regions that touch, lower one first, in lexicographic order.
        edges: columns of `edge_kernels`, one row a pair.
    """

    regions: Float64[np.ndarray, "regions 13"]
    colours: Float64[np.ndarray, "regions channels 2"]
    texture: Float64[np.ndarray, "regions sums"]
    patterns: Float64[np.ndarray, "regions bins"]
    pairs: Int32[np.ndarray, "2 edges"]
    edges: Float64[np.ndarray, "edges 3"]

    def __len__(self) -> int:
        return len(self.regions)

    def means(self) -> Float64[np.ndarray, "regions channels_or_one"]:
        """Mean of each channel."""
        totals = self.colours[:, :, 0] if self.colours.size else self.regions[:, 1:2]
        means: Float64[np.ndarray, "regions channels_or_one"] = totals / self.regions[:, AREA, None]
        return means

    def merged(self, group: Groups) -> "RegionSums":
        """The sums of groups of regions, numbered 0 …"""
        count = int(group.max()) + 1
        regions = merge_regions(self.regions, group, count)
        pairs, edges = merge_edges(self.pairs, self.edges, group, regions)
        colours = add_rows(self.colours.reshape(len(self), -1), group, count).reshape(count, -1, 2)
        texture, patterns = (add_rows(sums, group, count) for sums in (self.texture, self.patterns))
        return RegionSums(regions, colours, texture, patterns, pairs, edges)


def sum_view(view: View, labels: Labels, recipe: GraphRecipe) -> RegionSums:
    """Everything that the recipe's features are made of."""
    masked = view.inside is not None
    found = sum_image((view.plane, view.channels), labels, masked, recipe.builder == "grid")
    runs, (regions, colours), (pairs, edges) = found
    texture = patterns = np.empty((len(regions), 0))
    if recipe.texture:
        texture = texture_sums(view.plane, labels, runs=runs, regions=len(regions), inside=view.inside)
    if recipe.lbp:
        patterns = pattern_counts(view.plane, labels, len(regions))
    return RegionSums(regions, colours, texture, patterns, pairs, edges)


def describe_nodes(
    sums: RegionSums, shape: tuple[int, ...], mean_area: float, recipe: GraphRecipe
) -> tuple[Float32[np.ndarray, "regions features"], Float32[np.ndarray, "regions 2"]]:
    """`x` and `pos` of regions.

    Args:
        sums: theirs.
        shape: rows and columns of the image.
        mean_area: M of `features`: of the image's regions of level 0.
        recipe: which features.
    """
    area = sums.regions[:, AREA, None]
    blocks = [_describe_colours(sums.colours, area)] if sums.colours.size else []
    blocks += [describe_texture(sums.texture)] if recipe.texture else []
    blocks += [sums.patterns / area] if recipe.lbp else []
    width = len(STATISTICS) + sum(block.shape[1] for block in blocks) + (len(POSITION) if recipe.position else 0)
    x, pos = np.empty((len(sums), width), np.float32), np.empty((len(sums), 2), np.float32)
    describe_regions(sums.regions, shape, mean_area, x, pos)
    column = len(STATISTICS)
    for block in blocks:
        x[:, column : column + block.shape[1]] = block
        column += block.shape[1]
    if recipe.position:
        x[:, -len(POSITION) :] = pos
    return x, pos


def _describe_colours(sums: Float64[np.ndarray, "regions channels 2"], area: np.ndarray) -> np.ndarray:
    """Mean and population standard deviation of each channel, side by side."""
    means = sums[:, :, 0] / area
    deviations = np.sqrt(np.maximum(sums[:, :, 1] / area - means * means, 0))
    return np.stack([means, deviations], axis=2).reshape(len(sums), -1)


def describe_edges(edges: Float64[np.ndarray, "edges 3"], mean_area: float) -> Float32[np.ndarray, "edges 2"]:
    """The stored edge features; both are 0 for regions that do not touch."""
    attributes: Float32[np.ndarray, "edges 2"] = np.empty((len(edges), 2), np.float32)
    describe_boundaries(edges, math.sqrt(mean_area), attributes)
    return attributes
