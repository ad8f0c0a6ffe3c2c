"""Modality values through a window or table that the header offers. Source: DICOM PS3.3 C.11.2."""

from functools import lru_cache

import numpy as np

from medray.archive.instance import LookupTable, Voi, Window
from medray.errors import Reason, SampleError, SettingsError
from medray.pixels.windows import Shares, Values, apply_window


def choose_voi(voi: Voi, wanted: int | str) -> Window | LookupTable:
    """The window or table of this number, windows first and from 0, or of this explanation (case does not matter).

    Raises:
        SampleError: `voi_missing` where the header has no such one.
    """
    if isinstance(wanted, int):
        if 0 <= wanted < len(voi):
            return voi[wanted]
    else:
        for choice in voi:
            if choice.explanation is not None and choice.explanation.casefold() == wanted.strip().casefold():
                return choice
    raise SampleError(Reason.VOI_MISSING, f"the header has {len(voi)} windows and tables, and none that is {wanted!r}")


def apply_voi(values: Values, choice: Window | LookupTable) -> Shares:
    """Map modality values to 0 … 1.

    Raises:
        SampleError: `bad_voi` for a window that the standard forbids, or a table that could not be read.
    """
    if isinstance(choice, LookupTable):
        return apply_voi_lut(values, choice)
    try:
        return apply_window(values, choice.center, choice.width, choice.function)
    except SettingsError as refused:
        raise SampleError(Reason.BAD_VOI, refused.what) from None


def apply_voi_lut(values: Values, table: LookupTable) -> Shares:
    """Look values up, rounded to whole numbers; those outside the table get its first or last entry.

    Raises:
        SampleError: `bad_voi` for a table without entries.
    """
    if not table.entries:
        raise SampleError(Reason.BAD_VOI, "VOI LUT Sequence (0028,3010) whose descriptor and data do not fit")
    last = len(table.entries) - 1
    places = np.clip(np.rint(values) - np.float32(table.first_mapped), 0, last).astype(np.int32)
    found: Shares = _shares(table)[places]
    return found


@lru_cache(maxsize=8)
def _shares(table: LookupTable) -> np.ndarray:
    """Entries as shares of the largest that the table's bits allow."""
    return np.asarray(table.entries, np.float32) / np.float32(2**table.bits - 1)
