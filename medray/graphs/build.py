"""Prepared images to region graphs: the only way, in training and in scoring."""

import math

import numpy as np
from jaxtyping import Float32, Int32

from medray.errors import Reason, SampleError
from medray.graphs.connectivity_kernels import connect, find_contacts, find_runs
from medray.graphs.features import POSITION, STATISTICS, TEXTURE, node_feature_names
from medray.graphs.plan import SlicPlan, block_labels, cell_grid, plan_slic
from medray.graphs.region_graph import RegionGraph, index_type
from medray.graphs.region_kernels import CONTRAST, LENGTH, PAIRS, describe_regions, sum_edges, sum_regions
from medray.graphs.slic_kernels import blur as blur_into
from medray.graphs.slic_kernels import mean_of_channels, slic
from medray.graphs.texture import Runs, gaussian, texture_features
from medray.image_settings import GraphRecipe

__all__ = ["build_region_graph", "node_feature_names", "superpixel_labels"]

Image = Float32[np.ndarray, "channels rows columns"]
Plane = Float32[np.ndarray, "rows columns"]
Labels = Int32[np.ndarray, "rows columns"]


def build_region_graph(image: Image, recipe: GraphRecipe) -> RegionGraph:
    """The region graph of an image.

    Args:
        image: model input, about 0 in the mean and 1 in the standard deviation; channels are averaged.
        recipe: builder, regions, features.

    Raises:
        SampleError: `unsupported_pixels` where a value is not finite or there is no pixel.
    """
    plane = _grey(image)
    labels = _labels(plane, recipe)
    rows, columns = plane.shape
    regions = int(labels.max()) + 1
    runs: Runs = find_runs(labels)
    sums = sum_regions(plane, labels, runs, regions)
    contacts = find_contacts(runs[0], runs[1], columns)
    pairs, edges = sum_edges(plane, labels, runs, contacts, sums, recipe.builder == "grid")
    x = np.empty((regions, len(node_feature_names(recipe))), np.float32)
    pos = np.empty((regions, 2), np.float32)
    describe_regions(sums, rows, columns, x, pos)
    if recipe.texture:
        start = len(STATISTICS)
        x[:, start : start + len(TEXTURE)] = texture_features(plane, labels, runs=runs, regions=regions)
    if recipe.position:
        x[:, -len(POSITION) :] = pos
    lengths = edges[:, LENGTH] / math.sqrt(rows * columns / regions)
    edge_attr = np.stack([lengths, edges[:, CONTRAST] / edges[:, PAIRS]], axis=1).astype(np.float32)
    return RegionGraph(x, pos, pairs.astype(index_type(regions)), edge_attr)


def superpixel_labels(image: Image, recipe: GraphRecipe) -> Labels:
    """The node of each pixel: the very regions of `build_region_graph`, for painting node scores.

    Raises:
        SampleError: as `build_region_graph`.
    """
    return _labels(_grey(image), recipe)


def _grey(image: Image) -> Plane:
    plane = np.empty(image.shape[1:], np.float32)
    if not image.size:
        raise SampleError(Reason.UNSUPPORTED_PIXELS, "an image without pixels")
    if not image.flags.writeable or not image.flags.c_contiguous:
        image = np.array(image, np.float32, order="C")  # one signature for the kernels
    bad = mean_of_channels(image.reshape(len(image), -1), plane.reshape(-1))
    if bad:
        raise SampleError(Reason.UNSUPPORTED_PIXELS, f"{bad} pixels are not finite")
    return plane


def _labels(plane: Plane, recipe: GraphRecipe) -> Labels:
    rows, columns = plane.shape
    if recipe.builder == "grid":
        return block_labels(rows, columns, cell_grid(rows, columns, recipe.regions))
    return _superpixels(plane, plan_slic(rows, columns, recipe))


def _superpixels(plane: Plane, plan: SlicPlan) -> Labels:
    smooth = plane
    if plan.blur_px:
        smooth = np.empty_like(plane)
        blur_into(plane, gaussian(plan.blur_px), smooth)
    labels = np.empty(plane.shape, np.int32)
    slic(smooth, np.array(plan.grid), plan.weight, plan.sweeps, plan.stride, labels)
    connect(smooth, labels, plan.smallest)
    return labels
