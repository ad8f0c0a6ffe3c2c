"""Names and formulas of what stands in the region graph of a volume: those of features.py in three dimensions.

All but the position stay as they are when the volume is turned by 90 degrees, its spacing with it, or mirrored. Lengths
are in mm and cancel out. V is a region's volume, M the mean volume of the regions, d the number of dimensions: 3, and 2
for a volume of one slice, which has no thickness: its features are those of the image, and its shortest axis is 0.
"""

import math

import numpy as np
from jaxtyping import Float32, Float64

from medray.graphs.volume_region_kernels import (
    BORDER,
    GRADIENT,
    HIGH,
    LOW,
    PLACE,
    SQUARES,
    SURFACE,
    TOTAL,
    VOXELS,
)
from medray.image_settings import GraphRecipe

VOLUME_STATISTICS = (
    "log_volume",  # log(V / M)
    "mean",
    "std",  # population standard deviation of the region's values
    "min",
    "max",
    "gradient",  # log(1 + mean length of the gradient by mm * M^(1/d))
    "long_axis",  # square roots of the eigenvalues of the second moments / V^(1/d), largest first;
    "middle_axis",  # voxels are boxes: 0.289 thrice for a cube
    "short_axis",
    "surface",  # area towards other regions and at the border / (2 d V^((d-1)/d)): 1 for a cube
    "border_share",  # of this area, the share at the volume's ends and at voxels that are not real
    "compactness",  # V^(d-1) / surface^d over that of a ball: 36 pi V^2 / surface^3, 0.524 for a cube
    "radius",  # distance of the centroid from the volume's centre / half the volume's diagonal
)
VOLUME_POSITION = ("slice", "row", "column")  # centroid from the volume's centre / longest side, -0.5 … 0.5

ROUND = {2: 4 * math.pi, 3: 36 * math.pi}
"""Surface^d / V^(d-1) of a circle and of a ball."""

Sides = Float64[np.ndarray, "3"]


def volume_feature_names(recipe: GraphRecipe) -> tuple[str, ...]:
    """Columns of `x`, in order."""
    return VOLUME_STATISTICS + (VOLUME_POSITION if recipe.position else ())


def describe_volume_regions(
    sums: Float64[np.ndarray, "regions sums"], shape: tuple[int, int, int], sides: Sides
) -> tuple[Float32[np.ndarray, "regions 13"], Float32[np.ndarray, "regions 3"]]:
    """The features of each region, and its position.

    Args:
        sums: of `sum_volume_regions` and `sum_volume_edges`.
        shape: slices, rows and columns of the volume.
        sides: of a voxel, in any unit.
    """
    flat = shape[0] == 1
    d = 2 if flat else 3
    extent = np.array(shape) * sides * (0.0 if flat else 1.0, 1.0, 1.0)
    voxels, surface = sums[:, VOXELS], sums[:, SURFACE]
    volume = voxels * sides.prod()
    root, mean_volume, mean = volume ** (1 / d), volume.mean(), sums[:, TOTAL] / voxels
    offset = (sums[:, PLACE : PLACE + 3] / voxels[:, None] + 0.5) * sides - np.array(shape) * sides / 2
    columns = [
        np.log(volume / mean_volume),
        mean,
        np.sqrt(np.maximum(sums[:, SQUARES] / voxels - mean * mean, 0)),
        sums[:, LOW],
        sums[:, HIGH],
        np.log1p(sums[:, GRADIENT] / voxels * mean_volume ** (1 / d)),
        *(_axes(sums, sides, flat) / root[:, None]).T,
        surface / (2 * d * root ** (d - 1)),
        sums[:, BORDER] / surface,
        ROUND[d] * volume ** (d - 1) / surface**d,
        np.linalg.norm(offset, axis=1) / (np.linalg.norm(extent) / 2),
    ]
    return np.stack(columns, axis=1).astype(np.float32), (offset / extent.max()).astype(np.float32)


def _axes(sums: np.ndarray, sides: Sides, flat: bool) -> np.ndarray:
    """Square roots of the eigenvalues of each region's second moments, largest first; voxels are boxes."""
    voxels = sums[:, VOXELS, None, None]
    means = sums[:, PLACE : PLACE + 3, None] / voxels
    products = sums[:, PLACE + 3 + np.array([[0, 1, 2], [1, 3, 4], [2, 4, 5]])] / voxels
    moments = (products - means * means.swapaxes(1, 2) + np.eye(3) / 12) * np.outer(sides, sides)
    if flat:
        moments[:, 0, 0] = 0
    roots: np.ndarray = np.sqrt(np.maximum(np.linalg.eigvalsh(moments), 0))[:, ::-1]
    return roots
