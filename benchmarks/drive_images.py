"""DRIVE's photographs as all rows of benchmarks/drive.py read them: one channel, the field of view, the vessels.

Staal et al. 2004, doi:10.1109/TMI.2004.825627: 40 photographs of 584 x 565 pixels, 20 for training (21 … 40), 20 for
the test (01 … 20); the first observer's vessels are the truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from scipy import ndimage

Side = Literal["training", "test"]
NUMBERS: dict[Side, range] = {"training": range(21, 41), "test": range(1, 21)}
WIDE_PX = 10.0
"""Standard deviation of the blur that is taken for the background: no vessel is as wide."""
SYMMETRIES = 8


@dataclass(frozen=True, eq=False)
class Photograph:
    """One of them, or a part, turned or mirrored or not.

    Attributes:
        image: float32 (1, rows, columns); 0 outside the field of view, inside of mean 0 and standard deviation 1.
        mask: int16 (rows, columns): 1 = vessel, 0 = none, -1 = outside the field of view.
    """

    image: np.ndarray
    mask: np.ndarray

    @property
    def view(self) -> np.ndarray:
        """The field of view, bool (rows, columns)."""
        inside: np.ndarray = self.mask >= 0
        return inside

    def symmetric(self, which: int) -> "Photograph":
        """One of the eight: `which` % 4 quarter turns, from 4 on mirrored."""
        moved = [np.rot90(plane, which % 4, (-2, -1)) for plane in (self.image, self.mask)]
        image, mask = (np.flip(plane, -1) if which >= 4 else plane for plane in moved)
        return Photograph(np.ascontiguousarray(image), np.ascontiguousarray(mask))

    def window(self, row: int, column: int, side: int) -> "Photograph":
        """The side x side pixels whose first is at (row, column)."""
        rows, columns = slice(row, row + side), slice(column, column + side)
        return Photograph(self.image[:, rows, columns], self.mask[rows, columns])


def blurred_in_view(plane: np.ndarray, view: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur that takes no pixel from outside the field of view."""
    inside = view.astype(np.float32)
    weight = ndimage.gaussian_filter(inside, sigma)
    blurred: np.ndarray = ndimage.gaussian_filter(plane * inside, sigma) / np.maximum(weight, 1e-6)
    return blurred


def flattened(green: np.ndarray, view: np.ndarray) -> np.ndarray:
    """The green channel less its background, as model input: float32 (1, rows, columns). Vessels are dark."""
    plane = green.astype(np.float32)
    plane = plane - blurred_in_view(plane, view, WIDE_PX)
    scaled = (plane - plane[view].mean()) / plane[view].std()
    image: np.ndarray = np.where(view, scaled, 0).astype(np.float32)[None]
    return image


def photographs(data: Path, side: Side) -> list[Photograph]:
    """All photographs of a side, in the order of their numbers."""
    found = []
    for number in NUMBERS[side]:
        colours, vessels, view = (
            np.asarray(Image.open(data / "drive" / side / name))
            for name in (
                f"images/{number:02d}_{side}.tif",
                f"1st_manual/{number:02d}_manual1.gif",
                f"mask/{number:02d}_{side}_mask.gif",
            )
        )
        mask = np.where(view > 0, vessels > 0, -1).astype(np.int16)
        found.append(Photograph(flattened(colours[..., 1], view > 0), mask))
    return found


def random_windows(photos: Sequence[Photograph], count: int, side: int, draw: np.random.Generator) -> list[Photograph]:
    """Windows of photographs, turned and mirrored at random, whose middle lies in the field of view.

    Args:
        photos: each window is of one of them, no two of one where there are enough.
        count: of windows.
        side: of a window, in pixels.
        draw: where they come from.
    """
    windows = []
    for number in draw.permutation(len(photos))[:count]:
        photo = photos[number].symmetric(int(draw.integers(SYMMETRIES)))
        rows, columns = photo.mask.shape
        while True:
            row, column = int(draw.integers(rows - side + 1)), int(draw.integers(columns - side + 1))
            if photo.mask[row + side // 2, column + side // 2] >= 0:
                break
        windows.append(photo.window(row, column, side))
    return windows
