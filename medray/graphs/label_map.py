"""Prepared images to label maps: which region each pixel belongs to."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32

from medray.errors import Reason, SampleError
from medray.graphs.connectivity_kernels import connect
from medray.graphs.slic_kernels import mean_of_channels, slic
from medray.graphs.texture import blurred
from medray.image_settings import GraphRecipe

BLUR_SHARE = 1 / 16
"""Largest blur, in sides of a region: more than that erases what small regions could follow."""
SMALLEST_BLUR_PX = 0.2
"""Standard deviation below which a pixel's neighbours have a weight of less than 4e-6."""
SMALLEST_SHARE = 0.25
"""Share of the mean area below which a piece joins a neighbour. Source: Achanta et al. 2012."""
STRIDE, STRIDE_FROM_SIDE = 3, 9.0
"""Regions of at least this side move their centres by each third row: it costs no quality."""
NO_MASK = np.empty((0, 0), bool)

Image = Float32[np.ndarray, "channels rows columns"]
Plane = Float32[np.ndarray, "rows columns"]
Labels = Int32[np.ndarray, "rows columns"]
Mask = Bool[np.ndarray, "rows columns"]
AnyMask = Bool[np.ndarray, "mask_rows mask_columns"]
"""A mask whose size has yet to be held against the image's, or that is cut from one."""


@dataclass(frozen=True, eq=False)
class View:
    """What of an image becomes regions: the smallest rectangle that holds the mask, 0 outside the mask.

    Attributes:
        channels: the image; of one channel, the plane.
        plane: the mean over the channels.
        inside: the mask in the rectangle; None where it is all of it.
        box: rows and columns of the rectangle in the image.
    """

    channels: Image
    plane: Plane
    inside: Mask | None
    box: tuple[slice, slice]

    @property
    def area(self) -> int:
        """Pixels inside the mask."""
        return self.plane.size if self.inside is None else int(np.count_nonzero(self.inside))


def open_view(image: Image, mask: AnyMask | None) -> View:
    """The part of an image that the mask leaves.

    Raises:
        SampleError: `unsupported_pixels` where a value inside the mask is not finite or there is no pixel;
            `pixels_missing` where the mask leaves none.
        ValueError: the mask is of another size than the image.
    """
    if not image.size:
        raise SampleError(Reason.UNSUPPORTED_PIXELS, "an image without pixels")
    box, inside = (slice(None), slice(None)), None
    if mask is not None:
        box, inside = _box(image, mask)
        image = image[:, *box]
    if inside is not None:
        image = np.where(inside, image, np.float32(0))
    if not image.flags.writeable or not image.flags.c_contiguous:
        image = np.array(image, np.float32, order="C")  # one signature for the kernels
    plane = np.empty(image.shape[1:], np.float32)
    bad = mean_of_channels(image.reshape(len(image), -1), plane.reshape(-1))
    if bad:
        raise SampleError(Reason.UNSUPPORTED_PIXELS, f"{bad} pixels are not finite")
    return View(image if len(image) > 1 else plane[None], plane, inside, box)


def _box(image: Image, mask: AnyMask) -> tuple[tuple[slice, slice], Bool[np.ndarray, "box_rows box_columns"] | None]:
    if mask.shape != image.shape[1:]:
        raise ValueError(f"a mask of {mask.shape} does not fit on an image of {image.shape[1:]}")
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise SampleError(Reason.PIXELS_MISSING, "the mask leaves no pixel")
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    inside = np.ascontiguousarray(mask[box])
    return box, None if inside.all() else inside


def label_view(view: View, recipe: GraphRecipe) -> Labels:
    """The region of each pixel of a view, 0 … in the raster order of their first pixels; -1 outside the mask."""
    rows, columns = view.plane.shape
    grid = _grid(rows, columns, recipe.regions * (view.plane.size / view.area))
    if recipe.builder != "grid":
        return _superpixels(view, grid, recipe)
    labels = _blocks(rows, columns, grid)
    if view.inside is not None:
        labels[~view.inside] = -1
        connect(view.channels, labels, _smallest(view, grid))
    return labels


def _grid(rows: int, columns: int, regions: float) -> tuple[int, int]:
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


def _smallest(view: View, grid: tuple[int, int]) -> int:
    """Pixels below which a piece joins a neighbour."""
    return math.ceil(SMALLEST_SHARE * (view.plane.size / (grid[0] * grid[1])))


def _superpixels(view: View, grid: tuple[int, int], recipe: GraphRecipe) -> Labels:
    area = view.plane.size / (grid[0] * grid[1])
    side = math.sqrt(area)
    sigma = min(recipe.blur_px, side * BLUR_SHARE)
    smooth = view.channels
    if sigma > SMALLEST_BLUR_PX:
        planes = [blurred(plane, sigma, view.inside) for plane in view.channels]
        smooth = planes[0][None] if len(planes) == 1 else np.stack(planes)
    labels = np.empty(view.plane.shape, np.int32)
    weight = np.float32(recipe.compactness**2 / area)
    stride = STRIDE if side >= STRIDE_FROM_SIDE else 1
    inside = NO_MASK if view.inside is None else view.inside
    slic((smooth, inside), np.array(grid), weight, recipe.iterations, stride, labels)
    connect(smooth, labels, _smallest(view, grid))
    return labels
