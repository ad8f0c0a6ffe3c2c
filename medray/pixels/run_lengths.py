"""Masks as runs: how a predictions table holds them."""

import numpy as np
from jaxtyping import Int16, Int32

Mask = Int16[np.ndarray, "rows columns"]
Runs = tuple[Int16[np.ndarray, " runs"], Int32[np.ndarray, " runs"]]


def encode_runs(mask: Mask) -> Runs:
    """Classes and lengths of the runs of equal pixels, row by row; a run may go on in the next row."""
    flat = mask.ravel()
    starts = np.flatnonzero(np.append(True, flat[1:] != flat[:-1])) if flat.size else np.empty(0, np.int64)
    return flat[starts], np.diff(np.append(starts, flat.size)).astype(np.int32)


def decode_runs(run_classes: list[int], run_lengths: list[int], rows: int, columns: int) -> Mask:
    """The mask of a row of the predictions: class numbers, -1 where the model saw nothing.

    Raises:
        ValueError: the lengths do not add up to rows x columns.
    """
    flat = np.repeat(np.asarray(run_classes, np.int16), run_lengths)
    return flat.reshape(rows, columns)
