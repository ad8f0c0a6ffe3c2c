"""Prepared images to region graphs: the only way, in training and in scoring."""

import math

import numpy as np
from jaxtyping import Float32, Int32

from medray.errors import Reason, SampleError
from medray.graphs.connectivity_kernels import connect, find_contacts, find_runs
from medray.graphs.features import POSITION, STATISTICS, TEXTURE, node_feature_names
from medray.graphs.region_graph import RegionGraph, index_type
from medray.graphs.region_kernels import CONTRAST, LENGTH, PAIRS, describe_regions, sum_edges, sum_regions
from medray.graphs.slic_kernels import blur as blur_into
from medray.graphs.slic_kernels import mean_of_channels, slic
from medray.graphs.texture import Runs, gaussian, texture_features
from medray.image_settings import GraphRecipe

__all__ = ["build_region_graph", "build_with_labels", "node_feature_names", "superpixel_labels"]

BLUR_SHARE = 1 / 16
"""Largest blur, in sides of a region: more than that erases what small regions could follow."""
SMALLEST_BLUR_PX = 0.2
"""Standard deviation below which a pixel's neighbours have a weight of less than 4e-6."""
SMALLEST_SHARE = 0.25
"""Share of the mean area below which a piece joins a neighbour. Source: Achanta et al. 2012."""
STRIDE, STRIDE_FROM_SIDE = 3, 9.0
"""Regions of at least this side move their centres by each third row: it costs no quality."""

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
    return build_with_labels(image, recipe)[0]


def build_with_labels(image: Image, recipe: GraphRecipe) -> tuple[RegionGraph, Labels]:
    """The region graph of an image and the node of each pixel, both as the functions above and below give them."""
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
    return RegionGraph(x, pos, pairs.astype(index_type(regions)), edge_attr), labels


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
    grid = _grid(rows, columns, recipe.regions)
    return _blocks(rows, columns, grid) if recipe.builder == "grid" else _superpixels(plane, grid, recipe)


def _grid(rows: int, columns: int, regions: int) -> tuple[int, int]:
    """Rows and columns of about `regions` cells that are as square as they can be; no cell is less than a pixel."""
    down = min(rows, max(1, round(math.sqrt(regions * rows / columns))))
    across = min(columns, max(1, round(regions / down)))
    return min(rows, max(1, round(regions / across))), across


def _blocks(rows: int, columns: int, grid: tuple[int, int]) -> Labels:
    """Blocks of equal size, or of sizes that differ by a pixel and lie mirrored about the centre where they can."""
    row_band = np.searchsorted(_cuts(rows, grid[0]), np.arange(rows), "right")
    column_band = np.searchsorted(_cuts(columns, grid[1]), np.arange(columns), "right")
    labels: Labels = (row_band[:, None] * grid[1] + column_band).astype(np.int32)
    return labels


def _cuts(length: int, cells: int) -> np.ndarray:
    """Where all blocks but the first start."""
    cuts: np.ndarray = np.rint(np.arange(1, cells) * (length / cells))
    return cuts


def _superpixels(plane: Plane, grid: tuple[int, int], recipe: GraphRecipe) -> Labels:
    area = plane.size / (grid[0] * grid[1])
    side = math.sqrt(area)
    sigma = min(recipe.blur_px, side * BLUR_SHARE)
    smooth = plane
    if sigma > SMALLEST_BLUR_PX:
        smooth = np.empty_like(plane)
        blur_into(plane, gaussian(sigma), smooth)
    labels = np.empty(plane.shape, np.int32)
    weight = np.float32(recipe.compactness**2 / area)
    stride = STRIDE if side >= STRIDE_FROM_SIDE else 1
    slic(smooth, np.array(grid), weight, max(1, recipe.iterations), stride, labels)
    connect(smooth, labels, math.ceil(SMALLEST_SHARE * area))
    return labels
