"""Volumes to region graphs: supervoxels that are compact in mm, and which of them touch."""

import math

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32

from medray.errors import Reason, SampleError, SettingsError
from medray.graphs.plan import BLUR_SHARE, SMALLEST_BLUR_PX, SMALLEST_SHARE, STRIDE, STRIDE_FROM_SIDE
from medray.graphs.region_graph import RegionGraph, index_type
from medray.graphs.run_kernels import find_runs
from medray.graphs.texture import gaussian
from medray.graphs.volume_connectivity_kernels import connect_volume, find_volume_contacts
from medray.graphs.volume_features import describe_volume_regions, volume_feature_names
from medray.graphs.volume_region_kernels import AREA, CONTRAST, VOXELS, sum_volume_edges, sum_volume_regions
from medray.graphs.volume_slic_kernels import blur_columns, blur_lines, supervoxels
from medray.image_settings import GraphRecipe

__all__ = ["build_volume_graph", "supervoxel_labels", "volume_feature_names"]

Grid = Float32[np.ndarray, "slices rows columns"]
Mask = Bool[np.ndarray, "slices rows columns"]
Real = Bool[np.ndarray, "_ _ _"]
Labels = Int32[np.ndarray, "slices rows columns"]
Sides = Float64[np.ndarray, "3"]
Spacing = tuple[float | None, float, float]

LARGEST_VOLUME = np.iinfo(np.int32).max
"""Voxels whose numbers fit 32 bits."""
EVERYTHING = np.empty((0, 0, 0), np.bool_)
"""The mask of a volume whose voxels are all real."""


def build_volume_graph(volume: Grid, spacing_mm: Spacing, recipe: GraphRecipe, mask: Mask | None = None) -> RegionGraph:
    """The region graph of a volume: `pos` has (slice, row, column), edges join regions with a face in common.

    A volume of one slice whose rows and columns are equally far apart has the regions, edges and features of the image;
    of masked images only nearly so.

    Args:
        volume: about 0 in the mean and 1 in the standard deviation.
        spacing_mm: between slices, rows and columns; of a single slice the first is not looked at.
        recipe: regions, features. The blur is in sides of the finest voxel side, the same in mm along all axes.
        mask: true where a voxel is real; the others are in no region, and their values are not looked at.

    Raises:
        SettingsError: the recipe asks for another builder than `superpixel`, or for texture.
        SampleError: `unsupported_pixels` where a real value is not finite, `pixels_missing` where there is no real
            voxel, `image_too_large` from 2^31 voxels on, `spacing_missing` where a distance is not above 0.
    """
    values, real, sides = _checked(volume, spacing_mm, recipe, mask)
    labels = _labels(values, real, sides, recipe)
    slices, rows, columns = values.shape
    runs = find_runs(labels.reshape(slices * rows, columns))
    faces = sides.prod() / sides * (slices > 1, 1, 1)
    halves = (0.5 / sides).astype(np.float32)
    contacts = find_volume_contacts(runs[0], runs[1], values.shape)
    sums = sum_volume_regions(values, labels, runs, int(labels.max()) + 1, (halves, faces))
    pairs, edges = sum_volume_edges(values, labels, runs, contacts, sums, faces)
    x, pos = describe_volume_regions(sums, values.shape, sides)
    if recipe.position:
        x = np.hstack([x, pos])
    dimensions = 2 if slices == 1 else 3
    mean_volume = sums[:, VOXELS].mean() * sides.prod()
    areas = edges[:, AREA] / mean_volume ** (1 - 1 / dimensions)
    edge_attr = np.stack([areas, edges[:, CONTRAST] / edges[:, AREA]], axis=1).astype(np.float32)
    return RegionGraph(x, pos, pairs.astype(index_type(len(x))), edge_attr, np.zeros(len(x), np.uint8))


def supervoxel_labels(volume: Grid, spacing_mm: Spacing, recipe: GraphRecipe, mask: Mask | None = None) -> Labels:
    """The node of each voxel: the very regions of `build_volume_graph`, -1 where a voxel is not real.

    Raises:
        SettingsError, SampleError: as `build_volume_graph`.
    """
    return _labels(*_checked(volume, spacing_mm, recipe, mask), recipe)


def _checked(volume: Grid, spacing_mm: Spacing, recipe: GraphRecipe, mask: Mask | None) -> tuple[Grid, Real, Sides]:
    """Values, 0 where not real; the mask; sides of a voxel over the smallest of them, 1 across a single slice."""
    if recipe.builder != "superpixel" or recipe.texture or recipe.lbp:
        raise SettingsError(
            "Volumes have supervoxels without texture.", "Set builder superpixel, texture and lbp false."
        )
    if not volume.size or (mask is not None and not mask.any()):
        raise SampleError(Reason.PIXELS_MISSING, "a volume without real voxels")
    if volume.size > LARGEST_VOLUME:
        raise SampleError(Reason.IMAGE_TOO_LARGE, f"{volume.size} voxels do not fit 31 bits")
    real = EVERYTHING if mask is None or mask.all() else np.array(mask, order="C")
    values = np.array(volume, np.float32, order="C")  # one signature for the kernels
    if real.size:
        values[~real] = 0
    bad = values.size - np.count_nonzero(np.isfinite(values))
    if bad:
        raise SampleError(Reason.UNSUPPORTED_PIXELS, f"{bad} voxels are not finite")
    return values, real, _sides(spacing_mm, len(volume))


def _sides(spacing_mm: Spacing, slices: int) -> Sides:
    given = np.array(spacing_mm[1:] if slices == 1 else spacing_mm, np.float64)  # None becomes nan
    if not (np.isfinite(given) & (given > 0)).all():
        raise SampleError(Reason.SPACING_MISSING, "supervoxels need the distances of slices, rows and columns")
    return np.append([1.0] * (3 - len(given)), given / given.min())


def _labels(values: Grid, real: Real, sides: Sides, recipe: GraphRecipe) -> Labels:
    share = np.count_nonzero(real) / values.size if real.size else 1
    grid = _grid(values.shape, sides, recipe.regions / share)
    cell = values.size / math.prod(grid)  # voxels
    squared_side = (cell * sides.prod()) ** (1.0 if len(values) == 1 else 2 / 3)
    smooth = _blurred(values, real, sides, min(recipe.blur_px, math.sqrt(squared_side) * BLUR_SHARE))
    weights = (recipe.compactness**2 * sides**2 / squared_side).astype(np.float32)
    stride = STRIDE if math.sqrt(cell * grid[0] / len(values)) >= STRIDE_FROM_SIDE else 1
    labels = np.empty(values.shape, np.int32)
    supervoxels(smooth, real, (np.array(grid), weights), max(1, recipe.iterations), stride, labels)
    connect_volume(smooth, labels, math.ceil(SMALLEST_SHARE * cell))
    return labels


def _grid(shape: tuple[int, ...], sides: Sides, regions: float) -> tuple[int, int, int]:
    """Slices, rows and columns of about `regions` cells that are as cubic as they can be, each of a voxel at least."""
    extent = np.array(shape) * sides
    over = 1 if shape[0] == 1 else _cells(extent[0] / (extent.prod() / regions) ** (1 / 3), shape[0])
    down = _cells(math.sqrt(regions / over * extent[1] / extent[2]), shape[1])
    across = _cells(regions / over / down, shape[2])
    down = _cells(regions / over / across, shape[1])
    return _cells(regions / down / across, shape[0]), down, across


def _cells(wanted: float, most: int) -> int:
    return min(most, max(1, round(wanted)))


def _blurred(values: Grid, real: Real, sides: Sides, sigma: float) -> Grid:
    """Blurred by `sigma` smallest sides of a voxel along each axis; voxels that are not real lend nothing."""
    smooth = _filtered(values, sides, sigma)
    if smooth is values or not real.size:
        return smooth
    share = _filtered(real.astype(np.float32), sides, sigma)
    mended: Grid = np.divide(smooth, share, out=np.zeros_like(values), where=real)
    return mended


def _filtered(values: Grid, sides: Sides, sigma: float) -> Grid:
    slices, rows, columns = values.shape
    ways = [(blur_lines, (1, slices, rows * columns)), (blur_lines, values.shape), (blur_columns, (-1, columns))]
    for (blur, shape), side in list(zip(ways, sides, strict=True))[0 if slices > 1 else 1 :]:
        if sigma / side > SMALLEST_BLUR_PX:
            lines = values.reshape(shape)
            out = np.empty_like(lines)
            blur(lines, gaussian(sigma / side), out)
            values = out.reshape(slices, rows, columns)
    return values
