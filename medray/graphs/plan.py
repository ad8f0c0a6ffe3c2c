"""What follows for the regions from an image's shape and the recipe alone: the cells, and how SLIC goes about it."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32

from medray.image_settings import GraphRecipe

BLUR_SHARE = 1 / 16
"""Largest blur, in sides of a region: more than that erases what small regions could follow."""
SMALLEST_BLUR_PX = 0.2
"""Standard deviation below which a pixel's neighbours have a weight of less than 4e-6."""
SMALLEST_SHARE = 0.25
"""Share of the mean area below which a piece joins a neighbour. Source: Achanta et al. 2012."""
STRIDE, STRIDE_FROM_SIDE = 3, 9.0
"""Regions of at least this side move their centres by each third row: it costs no quality."""


@dataclass(frozen=True)
class SlicPlan:
    """How SLIC makes regions of images of one shape.

    Attributes:
        grid: rows and columns of the first centres.
        blur_px: standard deviation of the blur; 0 = none.
        weight: of the squared distance in pixels beside the squared difference of values.
        sweeps: passes over the image; all but the last move the centres.
        stride: sweeps that move the centres look at each stride-th row.
        smallest: pixels; smaller pieces join a neighbour.
    """

    grid: tuple[int, int]
    blur_px: float
    weight: np.float32
    sweeps: int
    stride: int
    smallest: int


def plan_slic(rows: int, columns: int, recipe: GraphRecipe, spread: float = 1.0) -> SlicPlan:
    """The plan for images of that many rows and columns, which are `spread` times the pixels that become regions."""
    grid = cell_grid(rows, columns, recipe.regions * spread)
    area = rows * columns / (grid[0] * grid[1])
    side = math.sqrt(area)
    sigma = min(recipe.blur_px, side * BLUR_SHARE)
    return SlicPlan(
        grid=grid,
        blur_px=sigma if sigma > SMALLEST_BLUR_PX else 0.0,
        weight=np.float32(recipe.compactness**2 / area),
        sweeps=recipe.iterations,
        stride=STRIDE if side >= STRIDE_FROM_SIDE else 1,
        smallest=math.ceil(SMALLEST_SHARE * area),
    )


def cell_grid(rows: int, columns: int, regions: float) -> tuple[int, int]:
    """Rows and columns of about `regions` cells that are as square as they can be; no cell is less than a pixel."""
    down = min(rows, max(1, round(math.sqrt(regions * rows / columns))))
    across = min(columns, max(1, round(regions / down)))
    return min(rows, max(1, round(regions / across))), across


def block_labels(rows: int, columns: int, grid: tuple[int, int]) -> Int32[np.ndarray, "rows columns"]:
    """Blocks of equal size, or of sizes that differ by a pixel and lie mirrored about the centre where they can."""
    row_band = np.searchsorted(_cuts(rows, grid[0]), np.arange(rows), "right")
    column_band = np.searchsorted(_cuts(columns, grid[1]), np.arange(columns), "right")
    labels: Int32[np.ndarray, "rows columns"] = (row_band[:, None] * grid[1] + column_band).astype(np.int32)
    return labels


def _cuts(length: int, cells: int) -> np.ndarray:
    """Where all blocks but the first start."""
    cuts: np.ndarray = np.rint(np.arange(1, cells) * (length / cells))
    return cuts
