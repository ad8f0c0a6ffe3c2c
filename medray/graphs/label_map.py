"""Prepared images to label maps: which region each pixel belongs to."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32

from medray.errors import Reason, SampleError
from medray.graphs.blur_kernels import mean_of_channels
from medray.graphs.connectivity_kernels import connect
from medray.graphs.image_kernels import segment
from medray.graphs.plan import SlicPlan, block_labels, plan_slic
from medray.graphs.run_kernels import running_sums
from medray.graphs.texture import EVERYWHERE, gaussian
from medray.image_settings import GraphRecipe

NO_BLUR = np.empty(0, np.float32)

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
    plan = plan_slic(rows, columns, recipe, view.plane.size / view.area)
    if recipe.builder != "grid":
        return _superpixels(view, plan)
    labels = block_labels(rows, columns, plan.grid)
    if view.inside is not None:
        labels[~view.inside] = -1
        connect(running_sums(view.channels), labels, plan.smallest)
    return labels


def _superpixels(view: View, plan: SlicPlan) -> Labels:
    taps = gaussian(plan.blur_px) if plan.blur_px else NO_BLUR
    inside = EVERYWHERE if view.inside is None else view.inside
    counts = (plan.sweeps, plan.stride, plan.smallest)
    labels: Labels = segment((view.channels, inside), taps, plan.grid, plan.weight, counts)
    return labels
