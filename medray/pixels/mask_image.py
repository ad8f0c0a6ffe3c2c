"""Mask images to class numbers: a PNG, TIFF or GIF of one channel, whose values are listed beforehand."""

import io
import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Int16, Int64
from PIL import Image

from medray.errors import Reason, SampleError
from medray.pixels.placement import NOWHERE

FORMATS = ("PNG", "TIFF", "GIF")
BILEVEL, PALETTE = "1", "P"
ONE_CHANNEL = (BILEVEL, "L", PALETTE, "I;16", "I;16B", "I;16L", "I")
SHOWN = 5

Stored = Int64[np.ndarray, "rows columns"]


def read_mask(data: bytes, page: int, pages: int, max_samples: int) -> Stored:
    """The stored values of a mask.

    1-bit images have the values 0 and 255, and so have palette images in which black and white alone are used. Of other
    palette images it is the grey level where the palette holds greys alone, else the number of the palette's entry.

    Args:
        data: of the object.
        page: of the image's frame.
        pages: frames that the image has: the mask needs as many.
        max_samples: pixels that a mask may have; one that says more is not decoded.

    Raises:
        SampleError: `mask_unreadable`, or `mask_size` where it has not a page for each frame.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of sizes that are checked here
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                return _values(image, page, pages, max_samples)
    except SampleError:
        raise
    except Exception:  # of a broken file Pillow raises whatever its parsing runs into
        cure = "a mask is a PNG, TIFF or GIF; DICOM (SEG too) is not read as one"
        raise SampleError(Reason.MASK_UNREADABLE, cure) from None


def _values(image: Image.Image, page: int, pages: int, max_samples: int) -> Stored:
    found = getattr(image, "n_frames", 1)
    if found != pages:
        raise SampleError(Reason.MASK_SIZE, f"{found} pages for {pages} frames")
    image.seek(page)
    if image.width * image.height > max_samples:
        raise SampleError(Reason.MASK_UNREADABLE, f"{image.width * image.height} pixels, the limit is {max_samples}")
    if image.mode not in ONE_CHANNEL:
        raise SampleError(Reason.MASK_UNREADABLE, f"{len(image.getbands())} channels; a mask has one")
    values: Stored = np.asarray(image).astype(np.int64)
    if image.mode == BILEVEL:
        return values * 255
    return _greys(image, values) if image.mode == PALETTE else values


def _greys(image: Image.Image, values: Stored) -> Stored:
    """Grey levels where the palette holds nothing else, 0 and 255 where black and white alone are used of it."""
    palette = np.asarray(image.getpalette("RGB"), np.int64).reshape(-1, 3)
    numbers = np.minimum(values, len(palette) - 1)
    used = palette[np.unique(numbers)]
    black_and_white = ((used == 0).all(axis=1) | (used == 255).all(axis=1)).all()
    greys: Stored = palette[numbers, 0]
    return greys if black_and_white or (palette == palette[:, :1]).all() else values


def to_classes(
    stored: Stored, values: Sequence[int], region: Bool[np.ndarray, "rows columns"] | None
) -> Int16[np.ndarray, "rows columns"]:
    """The class number of each pixel: the place of its value in the list; -1 outside the region.

    Args:
        stored: of `read_mask`.
        values: of the classes.
        region: the pixels that count; None = all. What lies outside may have any value.

    Raises:
        SampleError: `mask_value` where a pixel that counts has a value that is not listed.
    """
    order = np.argsort(values)
    listed = np.asarray(values, np.int64)[order]
    place = np.minimum(np.searchsorted(listed, stored), len(listed) - 1)
    known = listed[place] == stored
    counted = np.ones(stored.shape, bool) if region is None else region
    if (odd := ~known & counted).any():
        others = np.unique(stored[odd]).tolist()
        shown = ", ".join(map(str, others[:SHOWN])) + (", …" if len(others) > SHOWN else "")
        detail = f"{np.count_nonzero(odd)} pixels of values that are not listed: {shown}"
        raise SampleError(Reason.MASK_VALUE, detail)
    classes: Int16[np.ndarray, "rows columns"] = np.where(counted, order[place], NOWHERE).astype(np.int16)
    return classes
