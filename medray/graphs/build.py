"""Prepared images to region graphs: the only way, in training and in scoring."""

import numpy as np

from medray.graphs.edges import edges_of_levels, merge_levels, nearest_edges
from medray.graphs.features import node_feature_names
from medray.graphs.label_map import AnyMask, Image, Labels, label_view, open_view
from medray.graphs.region_graph import RegionGraph, index_type
from medray.graphs.region_sums import describe_edges, describe_nodes, sum_view
from medray.image_settings import GraphRecipe

__all__ = ["build_region_graph", "node_feature_names", "superpixel_labels"]


def build_region_graph(image: Image, recipe: GraphRecipe, mask: AnyMask | None = None) -> RegionGraph:
    """The region graph of an image.

    Args:
        image: model input, about 0 in the mean and 1 in the standard deviation.
        recipe: builder, regions, features.
        mask: the pixels that are real, or of interest; None = all. What lies outside changes nothing: no region is
            there, none reaches over it, and no feature reads it.

    Raises:
        SampleError: `unsupported_pixels` where a value inside the mask is not finite or there is no pixel;
            `pixels_missing` where the mask leaves none.
        ValueError: the mask is of another size than the image.
    """
    view = open_view(image, mask)
    sums = sum_view(view, label_view(view, recipe), recipe)
    mean_area = view.area / len(sums)
    levels, pairs, edges = [sums], sums.pairs, sums.edges
    if recipe.builder == "knn":
        pairs, edges = nearest_edges(sums, recipe, mean_area)
    elif recipe.builder == "multiscale":
        groups = merge_levels(sums)
        levels += [sums.merged(group) for group in groups]
        pairs, edges = edges_of_levels(levels, groups)
    nodes = [describe_nodes(level, view.plane.shape, mean_area, recipe) for level in levels]
    x, pos = (np.concatenate(parts) if len(levels) > 1 else parts[0] for parts in zip(*nodes, strict=True))
    level = np.repeat(np.arange(len(levels), dtype=np.uint8), [len(one) for one in levels])
    return RegionGraph(x, pos, pairs.astype(index_type(len(x))), describe_edges(edges, mean_area), level)


def superpixel_labels(image: Image, recipe: GraphRecipe, mask: AnyMask | None = None) -> Labels:
    """The node of each pixel: the very regions (of level 0) of `build_region_graph`, for painting node scores.

    Returns:
        Numbers of nodes, -1 outside the mask.

    Raises:
        SampleError, ValueError: as `build_region_graph`.
    """
    view = open_view(image, mask)
    labels = label_view(view, recipe)
    if labels.shape == image.shape[1:]:
        return labels
    full: Labels = np.full(image.shape[1:], -1, np.int32)
    full[view.box] = labels
    return full
