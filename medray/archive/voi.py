"""VOI windows and tables of a header: of each frame where functional groups say so.

Source: DICOM PS3.3 C.11.2 (VOI LUT), C.7.6.16.2.10 (Frame VOI LUT macro).
"""

from typing import cast, get_args

from medray.archive.headers import Header
from medray.archive.instance import Voi, Window, WindowFunction
from medray.archive.lookup import voi_lut
from medray.archive.spacing import FRAME_GROUPS, SHARED_GROUPS
from medray.archive.values import bad, code, decimals, raw_text

WINDOW_CENTER, WINDOW_WIDTH, WINDOW_EXPLANATION = 0x00281050, 0x00281051, 0x00281055
VOI_LUT_FUNCTION, VOI_LUT_SEQUENCE, FRAME_VOI = 0x00281056, 0x00283010, 0x00289132
VOI_TAGS = frozenset((WINDOW_CENTER, WINDOW_WIDTH, WINDOW_EXPLANATION, VOI_LUT_FUNCTION, VOI_LUT_SEQUENCE))


def read_voi(header: Header, frames: int, *, signed: bool) -> tuple[Voi, ...]:
    """The choices once for all frames, or once a frame; nothing where the header has none.

    Args:
        signed: modality values can be negative; the first value that a table maps is then signed (C.11.2.1.1).
    """
    each = [_of_group(group, signed) for group in header.items(FRAME_GROUPS)]
    shared = [found for group in header.items(SHARED_GROUPS) if (found := _of_group(group, signed))]
    whole = shared[0] if shared else _choices(header, signed)
    if not any(each):
        return (whole,) if whole else ()
    if len(each) != frames:
        return ()
    every = tuple(found or whole for found in each)
    return every if len(set(every)) > 1 else every[:1]


def _of_group(group: Header, signed: bool) -> Voi:
    return next((found for item in group.items(FRAME_VOI) if (found := _choices(item, signed))), ())


def _choices(place: Header, signed: bool) -> Voi:
    tables = tuple(voi_lut(item, signed=signed) for item in place.items(VOI_LUT_SEQUENCE))
    return (*_windows(place), *tables)


def _windows(place: Header) -> tuple[Window, ...]:
    """The windows as they stand; those that the standard forbids are flagged, and refused by whoever applies them."""
    centers, widths = decimals(place, WINDOW_CENTER), decimals(place, WINDOW_WIDTH)
    if centers is None or widths is None:
        return ()
    function = code(place, VOI_LUT_FUNCTION) or "LINEAR"
    if len(centers) != len(widths) or function not in get_args(WindowFunction):
        bad(place, WINDOW_WIDTH if len(centers) != len(widths) else VOI_LUT_FUNCTION)
        return ()
    if min(widths) < 1 if function == "LINEAR" else min(widths) <= 0:
        place.flag("bad_window_width")
    names = [name.strip() or None for name in (raw_text(place, WINDOW_EXPLANATION) or "").split("\\")]
    names += [None] * len(centers)
    kind = cast(WindowFunction, function)
    return tuple(Window(at, wide, kind, name) for at, wide, name in zip(centers, widths, names, strict=False))
