"""The compiled part of the walk over data elements, twenty times as fast. It gives up where anything is not plain."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from medray.archive.elements import DEPTH_AT_MOST, ITEM, ITEM_END, LONG, SEQUENCE_END, SHORT, UNDEFINED

Walk = TypeVar("Walk", bound=Callable[..., Any])


def _compile(walk: Walk) -> Walk:
    return cast(Walk, numba.njit(nogil=True, cache=True)(walk))


def _widths() -> np.ndarray:
    """Bytes in front of the value by the two letters of the VR: 8 or 12, and 0 for no VR."""
    widths = np.zeros((26, 26), np.int64)
    for names, width in ((SHORT, 8), (LONG, 12)):
        for first, second in names:
            widths[first - 65, second - 65] = width
    return widths


WIDTHS = _widths()
UNKNOWN = (ord("U") - 65, ord("N") - 65)


@_compile
def _pair(data: Any, position: int) -> Any:
    return np.int64(data[position]) | np.int64(data[position + 1]) << 8


@_compile
def _tag(data: Any, position: int) -> Any:
    return _pair(data, position) << 16 | _pair(data, position + 2)


@_compile
def _length(data: Any, position: int) -> Any:
    return _pair(data, position) | _pair(data, position + 2) << 16


@_compile
def _value(data: Any, position: int, implicit: bool) -> tuple[int, int, bool]:
    """First byte, length and VR UN of the element at `position`, where 8 bytes are left; -1 for what is no element."""
    if implicit:
        return position + 8, _length(data, position + 4), False
    first, second = np.int64(data[position + 4]) - 65, np.int64(data[position + 5]) - 65
    if not (0 <= first < 26 and 0 <= second < 26):
        return -1, 0, False
    width = WIDTHS[first, second]
    if width == 8:
        return position + 8, _pair(data, position + 6), False
    if width == 0 or position + 12 > data.size:
        return -1, 0, False
    return position + 12, _length(data, position + 8), first == UNKNOWN[0] and second == UNKNOWN[1]


@_compile
def skip_items(data: Any, position: int, implicit: bool) -> int:
    """Where the delimiter of a sequence of undefined length stands; -1 where its items are not plain."""
    inside_item = np.zeros(2 * DEPTH_AT_MOST, np.bool_)
    is_implicit = np.zeros(2 * DEPTH_AT_MOST, np.bool_)
    is_implicit[0] = implicit
    depth = 0
    while position + 8 <= data.size:
        tag = _tag(data, position)
        if tag == (ITEM_END if inside_item[depth] else SEQUENCE_END):
            if depth == 0:
                return position
            depth -= 1
            position += 8
            continue
        if inside_item[depth]:
            start, length, unknown = _value(data, position, is_implicit[depth])
        else:
            start, length, unknown = position + 8, _length(data, position + 4), False
        if start < 0 or (tag != ITEM and not inside_item[depth]):
            return -1
        position = start
        if length != UNDEFINED:
            position += length
            continue
        depth += 1
        if depth == inside_item.size:
            return -1
        inside_item[depth] = not inside_item[depth - 1]
        is_implicit[depth] = is_implicit[depth - 1] or unknown
    return -1


@_compile
def walk_plain(data: Any, place: Any, below: int, implicit: bool, wanted: Any, found: Any) -> int:
    """Walk little endian elements up to the first that is not plain, and note the wanted ones.

    An element is plain if its tag rises, stands before `below`, and it ends within the bytes.

    Args:
        data: uint8, read-only.
        place: int64, position and last tag; both are moved on.
        wanted: int64, sorted; empty = every tag.
        found: int64 (rows, 3), filled with tag, first byte and end of the value.

    Returns:
        How many rows of `found` are filled; where all of them are, more may be plain.
    """
    position, last = place
    count = 0
    at = 0
    while position + 8 <= data.size and count < found.shape[0]:
        tag = _tag(data, position)
        start, length, unknown = _value(data, position, implicit)
        if start < 0 or tag >= below or tag <= last:
            break
        stop = start + length
        behind = stop
        if length == UNDEFINED:
            stop = skip_items(data, start, implicit or unknown)
            behind = stop + 8
        if stop < 0 or stop > data.size:
            break
        while at < wanted.size and wanted[at] < tag:
            at += 1
        if wanted.size == 0 or (at < wanted.size and wanted[at] == tag):
            found[count, 0], found[count, 1], found[count, 2] = tag, start, stop
            count += 1
        position, last = behind, tag
    place[0], place[1] = position, last
    return count
