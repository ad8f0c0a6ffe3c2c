"""Where the model's input lies in the frame that it was made of, and masks taken there and back."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, Shaped

NOWHERE = -1
"""In a mask: no class. The pixel does not count, or input or frame has nothing there of what the model saw."""

Frame = Shaped[np.ndarray, "rows columns"]
Square = Shaped[np.ndarray, "size size"]


def centred(length: int, size: int) -> tuple[slice, slice]:
    """What of `length` pixels lies in the middle `size`, and where there."""
    kept = min(length, size)
    first, place = (length - kept) // 2, (size - kept) // 2
    return slice(first, first + kept), slice(place, place + kept)


@dataclass(frozen=True)
class Placement:
    """A rectangle of a frame was resized, and its middle laid in the middle of a square.

    Attributes:
        frame: rows and columns of the frame.
        corner: first row and column of the rectangle.
        box: its rows and columns.
        resized: its rows and columns after the resize; what is larger than the square is cut.
        size: side of the square.
    """

    frame: tuple[int, int]
    corner: tuple[int, int]
    box: tuple[int, int]
    resized: tuple[int, int]
    size: int

    def numbers(self) -> list[int]:
        """As a row of a table holds it: frame, corner, box, resized, size."""
        return [*self.frame, *self.corner, *self.box, *self.resized, self.size]

    @classmethod
    def of(cls, numbers: list[int]) -> "Placement":
        """From `numbers`."""
        rows, columns, top, left, height, width, down, across, size = numbers
        return cls((rows, columns), (top, left), (height, width), (down, across), size)

    def to_input(self, mask: Frame, outside: int = NOWHERE) -> Square:
        """A mask of the frame as the model's input has it: each pixel that of the nearest one, `outside` in padding.

        Classes are never blended, and no rare one loses to its neighbours: each keeps its area in the mean.
        """
        (rows, has_row), (columns, has_column) = (self._read_at(axis) for axis in (0, 1))
        read = mask[np.ix_(rows, columns)]
        there = has_row[:, None] & has_column
        placed: Square = np.where(there, read, np.asarray(outside, mask.dtype))
        return placed

    def to_frame(self, square: Square, outside: int | float = NOWHERE) -> Frame:
        """What belongs to each pixel of the input, at the frame's own pixels; `outside` where the model saw nothing."""
        (rows, has_row), (columns, has_column) = (self._written_from(axis) for axis in (0, 1))
        there = has_row[:, None] & has_column
        placed: Frame = np.where(there, square[np.ix_(rows, columns)], np.asarray(outside, square.dtype))
        return placed

    def _read_at(self, axis: int) -> tuple[Int64[np.ndarray, " places"], Bool[np.ndarray, " places"]]:
        """For each row (column) of the square, the frame's; and whether there is one."""
        kept, place = centred(self.resized[axis], self.size)
        read, there = np.zeros(self.size, np.int64), np.zeros(self.size, bool)
        along = (np.arange(kept.start, kept.stop) + 0.5) * self.box[axis] / self.resized[axis]
        read[place], there[place] = self.corner[axis] + np.floor(along), True
        return read, there

    def _written_from(self, axis: int) -> tuple[Int64[np.ndarray, " places"], Bool[np.ndarray, " places"]]:
        """For each row (column) of the frame, the square's; and whether there is one."""
        kept, place = centred(self.resized[axis], self.size)
        within = np.arange(self.frame[axis]) - self.corner[axis]
        along = np.floor((within + 0.5) * self.resized[axis] / self.box[axis]).astype(np.int64)
        there = (within >= 0) & (within < self.box[axis]) & (along >= kept.start) & (along < kept.stop)
        return np.where(there, along - kept.start + place.start, 0), there
