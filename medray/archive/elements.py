"""The walk over data elements: positions and lengths only, no value is parsed.

Source: DICOM PS3.5 7.1.2 (explicit VR), 7.1.3 (implicit VR), 7.5.1 and 7.5.2 (items and delimiters).
"""

from collections.abc import Callable, Iterator
from functools import cache
from struct import Struct
from typing import Any, NamedTuple

import numpy as np

SHORT = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
VALUE_REPRESENTATIONS = SHORT | LONG
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
DEPTH_AT_MOST = 32
EVERYTHING, FIRST_BEHIND_META = 0x100000000, 0x00030000
WORTH_COMPILED_CODE = 1024
"""Bytes from which on the compiled walk is the faster one: a call costs as much as ten elements here."""


class RefusedError(Exception):
    """Bytes that the walker does not understand."""


class CutShortError(Exception):
    """The bytes end inside an element; `needs` is how many there must be at the least."""

    def __init__(self, needs: int) -> None:
        super().__init__(needs)
        self.needs = needs


class Coding(NamedTuple):
    """One way to write data elements."""

    implicit: bool
    little: bool
    element: Callable[..., tuple[Any, ...]]
    length: Callable[..., tuple[int, ...]]
    item: Callable[..., tuple[int, int, int]]


def _coding(implicit: bool, order: str) -> Coding:
    item = Struct(f"{order}HHL").unpack_from
    element = item if implicit else Struct(f"{order}HH2sH").unpack_from
    return Coding(implicit, order == "<", element, Struct(f"{order}L").unpack_from, item)


EXPLICIT_LITTLE, EXPLICIT_BIG, IMPLICIT_LITTLE = _coding(False, "<"), _coding(False, ">"), _coding(True, "<")


class WalkEnd(NamedTuple):
    """Where a walk stopped: before the element `tag`, or at the end of the bytes (`tag` None)."""

    position: int
    tag: int | None = None
    vr: bytes = b""
    start: int = 0
    length: int = 0


def walk(
    data: bytes | memoryview,
    position: int,
    coding: Coding,
    *,
    values: dict[int, bytes],
    wanted: frozenset[int] | None = None,
    below: int = EVERYTHING,
) -> WalkEnd:
    """Walk elements from `position`, keep the raw values of the wanted tags (None: all), stop before tag `below`.

    Raises:
        RefusedError: an unknown VR, tags out of order, sequences nested too deep.
        CutShortError: the bytes end inside an element.
    """
    step = _implicit if coding.implicit else _explicit
    end, last = len(data), -1
    is_long = coding.little and end - position >= WORTH_COMPILED_CODE
    while position + 8 <= end:
        if is_long:
            position, last = _walk_plain(data, (position, last), coding, values=values, wanted=wanted, below=below)
            if position + 8 > end:
                break
        tag, vr, start, length = step(data, position, coding)
        if tag >= below:
            return WalkEnd(position, tag, vr, start, length)
        if tag <= last:
            raise RefusedError("tags out of order")
        if length == UNDEFINED:
            stop, position = _skip_items(data, start, end, IMPLICIT_LITTLE if vr == b"UN" else coding, 0)
        else:
            stop = position = start + length
        if stop > end:
            raise CutShortError(stop)
        if wanted is None or tag in wanted:
            values[tag] = bytes(data[start:stop])
        last = tag
    if any(data[position:end]):
        raise CutShortError(position + 8)
    return WalkEnd(position)


def _walk_plain(
    data: bytes | memoryview,
    place: tuple[int, int],
    coding: Coding,
    *,
    values: dict[int, bytes],
    wanted: frozenset[int] | None,
    below: int,
) -> tuple[int, int]:
    """Walk as far as elements are plain; position and last tag."""
    kernel, tags = _compiled_walk(), _sorted(wanted)
    stream = np.frombuffer(data, np.uint8)
    stream.flags.writeable = False
    reached, found = np.array(place), np.empty((64, 3), np.int64)
    count = len(found)
    while count == len(found):
        count = kernel(stream, reached, below, coding.implicit, tags, found)
        for tag, start, stop in found[:count].tolist():
            values[tag] = bytes(data[start:stop])
    position, last = reached.tolist()
    return position, last


@cache
def _compiled_walk() -> Callable[..., int]:
    from medray.archive.element_kernels import walk_plain  # a second to load: only processes that read headers need it

    return walk_plain


@cache
def _sorted(wanted: frozenset[int] | None) -> np.ndarray:
    """Tags in order; no tag is none that can be, and an empty array means all of them."""
    return np.array([] if wanted is None else sorted(wanted) or [EVERYTHING], np.int64)


def walk_meta(data: bytes, position: int, *, values: dict[int, bytes], wanted: frozenset[int]) -> int:
    """Keep the wanted values of the file meta group, always explicit little endian; where the data set begins.

    Source: DICOM PS3.10 7.1. The group's length element is not trusted.
    """
    if data[position : position + 2] == b"\x02\x00" and len(data) - position >= WORTH_COMPILED_CODE:
        position, _ = _walk_plain(
            data, (position, -1), EXPLICIT_LITTLE, values=values, wanted=wanted, below=FIRST_BEHIND_META
        )
    while data[position : position + 2] == b"\x02\x00" and position + 8 <= len(data):
        tag, _, start, length = _explicit(data, position, EXPLICIT_LITTLE)
        if length == UNDEFINED:
            raise RefusedError("meta group")
        position = start + length
        if position > len(data):
            raise CutShortError(position)
        if tag in wanted:
            values[tag] = data[start:position]
    return position


def _explicit(data: bytes | memoryview, position: int, coding: Coding) -> tuple[int, bytes, int, int]:
    group, element, vr, length = coding.element(data, position)
    if vr in SHORT:
        return group << 16 | element, vr, position + 8, length
    if vr not in LONG:
        if group == 0xFFFE:
            return group << 16 | element, b"", position + 8, coding.length(data, position + 4)[0]
        raise RefusedError("value representation")
    if len(data) < position + 12:
        raise CutShortError(position + 12)
    return group << 16 | element, vr, position + 12, coding.length(data, position + 8)[0]


def _implicit(data: bytes | memoryview, position: int, coding: Coding) -> tuple[int, bytes, int, int]:
    group, element, length = coding.element(data, position)
    return group << 16 | element, b"", position + 8, length


def _skip_items(data: bytes | memoryview, position: int, end: int, coding: Coding, depth: int) -> tuple[int, int]:
    """End of the content, and the position after the delimiter, of an element of undefined length."""
    if depth > DEPTH_AT_MOST:
        raise RefusedError("nesting")
    while position + 8 <= end:
        group, element, length = coding.item(data, position)
        tag = group << 16 | element
        if tag == SEQUENCE_END:
            return position, position + 8
        if tag != ITEM:
            raise RefusedError("item")
        position = position + 8 + length if length != UNDEFINED else _skip_item(data, position + 8, end, coding, depth)
    raise CutShortError(position + 8)


def _skip_item(data: bytes | memoryview, position: int, end: int, coding: Coding, depth: int) -> int:
    step = _implicit if coding.implicit else _explicit
    while position + 8 <= end:
        tag, vr, start, length = step(data, position, coding)
        if tag == ITEM_END:
            return position + 8
        if length == UNDEFINED:
            inner = IMPLICIT_LITTLE if vr == b"UN" else coding
            position = _skip_items(data, start, end, inner, depth + 1)[1]
        else:
            position = start + length
    raise CutShortError(position + 8)


def item_spans(raw: bytes | memoryview, coding: Coding) -> Iterator[tuple[int, int]]:
    """First byte and end of the elements of each item of a sequence's value.

    Raises:
        RefusedError: something else than an item.
        CutShortError: the value ends inside an item.
    """
    position = 0
    while position + 8 <= len(raw):
        group, element, length = coding.item(raw, position)
        if group << 16 | element != ITEM:
            raise RefusedError("item")
        start = position + 8
        position = start + length if length != UNDEFINED else _skip_item(raw, start, len(raw), coding, 0)
        if position > len(raw):
            raise CutShortError(position)
        yield start, position - (8 if length == UNDEFINED else 0)
