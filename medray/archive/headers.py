"""DICOM headers, walked at the top level: raw values of the wanted tags, sequences only when asked for.

The walker reads explicit (little and big endian) and implicit little endian, deflated too, with or without preamble and
meta group, and refuses whatever else it meets; `read_header` then asks pydicom. A header is complete only if an element
at or after (7FE0,0008) was reached or the object ended: a cut header looks whole to most readers.

Source: DICOM PS3.5 7.1 (data elements), 7.5 (sequences), 6.2.2 (UN of undefined length), PS3.10 7.1 (meta group).
"""

import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from medray.archive.deflated import inflate_dataset
from medray.archive.elements import (
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    UNDEFINED,
    VALUE_REPRESENTATIONS,
    Coding,
    CutShortError,
    RefusedError,
    item_spans,
    walk,
    walk_meta,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset  # its import takes 0.7 s, and few headers need it

TRANSFER_SYNTAX_UID = 0x00020010
FIRST_PIXEL_TAG = 0x7FE00008
PIXEL_TAGS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED = ("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
GUESSED = {IMPLICIT_LITTLE: IMPLICIT, EXPLICIT_LITTLE: EXPLICIT, EXPLICIT_BIG: BIG}

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # its messages quote header text


@dataclass(frozen=True)
class PixelElement:
    """Where the pixel data stand: tag, value representation, first byte of the value, declared length."""

    tag: int
    vr: bytes
    start: int
    length: int


@dataclass
class Header:
    """Raw values by tag.

    Attributes:
        data: what `pixels.start` counts in: the object's bytes, inflated where the syntax is deflated.
        complete: no element before the pixel data can be missing.
        needs: bytes that a longer read must have at the least, where not complete.
    """

    data: bytes | memoryview
    coding: Coding
    values: dict[int, bytes]
    transfer_syntax_uid: str | None = None
    pixels: PixelElement | None = None
    complete: bool = True
    needs: int = 0
    flags: list[str] = field(default_factory=list)
    nested: dict[int, list["Header"]] = field(default_factory=dict)

    def flag(self, name: str) -> None:
        """Note something that was recovered or guessed, once."""
        if name not in self.flags:
            self.flags.append(name)

    def items(self, tag: int) -> list["Header"]:
        """The items of a sequence; none where it is absent or cannot be read (flagged)."""
        if tag not in self.nested:
            try:
                self.nested[tag] = list(self._read_items(self.values.get(tag, b"")))
            except (RefusedError, CutShortError):
                self.flag("bad_sequence")
                self.nested[tag] = []
        return self.nested[tag]

    def _read_items(self, raw: bytes) -> Iterator["Header"]:
        coding = self.coding
        if not coding.implicit and len(raw) >= 14 and raw[8:10] not in (b"\xfe\xff", b"\xff\xfe"):
            coding = coding if raw[12:14] in VALUE_REPRESENTATIONS else IMPLICIT_LITTLE  # a sequence of unknown VR
        for start, stop in item_spans(raw, coding):
            values: dict[int, bytes] = {}
            walk(raw[start:stop], 0, coding, values=values)
            yield Header(raw, coding, values, flags=self.flags)


def read_header(data: bytes, *, whole: bool, wanted: frozenset[int]) -> Header:
    """The header of a DICOM object from its first bytes, or from all of them (`whole`).

    Raises:
        RefusedError: neither the walker nor pydicom can make a header of these bytes.
    """
    try:
        return walk_header(data, whole=whole, wanted=wanted)
    except RefusedError:
        return _pydicom_header(data, whole=whole, wanted=wanted)


def walk_header(data: bytes, *, whole: bool, wanted: frozenset[int]) -> Header:
    """As `read_header`, by the walker alone.

    Raises:
        RefusedError: something that the walker does not understand.
    """
    values: dict[int, bytes] = {}
    start = 132 if data[128:132] == b"DICM" else 0
    try:
        position = walk_meta(data, start, values=values, wanted=wanted)
    except CutShortError as short:
        return _cut(Header(data, EXPLICIT_LITTLE, values, complete=False), short, whole)
    if position + 8 > len(data) and not whole:
        return Header(data, EXPLICIT_LITTLE, values, complete=False, needs=position + 1024)
    declared = values[TRANSFER_SYNTAX_UID].decode("latin-1").strip(" \0") if TRANSFER_SYNTAX_UID in values else None
    flags = ["missing_preamble"] if start == 0 else []
    if declared in DEFLATED:
        data, whole = inflate_dataset(data[position:], whole)
        position = 0
    coding, found = _coding(data, position, declared)
    header = Header(data, coding, values, declared or GUESSED[coding], flags=flags + found)
    return _walk_dataset(header, position, whole, wanted)


def _walk_dataset(header: Header, position: int, whole: bool, wanted: frozenset[int]) -> Header:
    data = header.data
    try:
        end = walk(data, position, header.coding, values=header.values, wanted=wanted, below=FIRST_PIXEL_TAG)
    except CutShortError as short:
        return _cut(header, short, whole)
    if end.tag is None:
        header.complete = whole
        header.needs = end.position + 8
        return header
    if end.tag in PIXEL_TAGS:
        header.pixels = PixelElement(end.tag, end.vr, end.start, end.length)
    return header


def _cut(header: Header, short: CutShortError, whole: bool) -> Header:
    header.complete, header.needs = False, short.needs
    if whole:
        header.flag("header_truncated")
    return header


def _coding(data: bytes | memoryview, position: int, declared: str | None) -> tuple[Coding, list[str]]:
    """How the data set is encoded: as its first element shows, with a flag where the meta group says otherwise."""
    first = bytes(data[position : position + 6])
    if len(first) < 6:
        return (EXPLICIT_LITTLE if declared != IMPLICIT else IMPLICIT_LITTLE), []
    explicit = first[4:6] in VALUE_REPRESENTATIONS
    big = explicit and (declared == BIG if first[:2] == b"\0\0" else first[0] == 0)
    coding = (EXPLICIT_BIG if big else EXPLICIT_LITTLE) if explicit else IMPLICIT_LITTLE
    if declared is None:
        return coding, ["transfer_syntax_guessed"]
    claimed = EXPLICIT_BIG if declared == BIG else IMPLICIT_LITTLE if declared == IMPLICIT else EXPLICIT_LITTLE
    return coding, [] if coding == claimed else ["encoding_differs_from_transfer_syntax"]


def _pydicom_header(data: bytes, *, whole: bool, wanted: frozenset[int]) -> Header:
    from pydicom.filereader import read_partial

    reached: list[PixelElement] = []
    buffer = io.BytesIO(data)

    def at_pixels(tag: int, vr: str | None, length: int) -> bool:
        if tag >= FIRST_PIXEL_TAG:
            reached.append(PixelElement(int(tag), (vr or "OW").encode(), buffer.tell(), length))
        return tag >= FIRST_PIXEL_TAG

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = read_partial(buffer, stop_when=at_pixels, force=True)
            syntax = str(dataset.file_meta.get("TransferSyntaxUID", "")) or None
        except Exception as error:
            raise RefusedError(type(error).__name__) from None
    if not len(dataset) or syntax in DEFLATED:
        raise RefusedError("no elements")
    implicit, little = dataset.original_encoding
    coding = EXPLICIT_BIG if not little else IMPLICIT_LITTLE if implicit else EXPLICIT_LITTLE
    header = _from_dataset(dataset, coding, wanted)
    header.values |= _from_dataset(dataset.file_meta, EXPLICIT_LITTLE, wanted).values
    header.data, header.transfer_syntax_uid = data, syntax or GUESSED[coding]
    header.complete, header.needs = bool(reached) or whole, len(data) + 1
    header.pixels = reached[0] if reached and reached[0].tag in PIXEL_TAGS else None
    header.flag("read_by_pydicom")
    return header


def _from_dataset(dataset: "Dataset", coding: Coding, wanted: frozenset[int] | None = None) -> Header:
    from pydicom.dataelem import RawDataElement

    header = Header(b"", coding, {})
    for tag in list(dataset.keys()):
        if wanted is not None and int(tag) not in wanted:
            continue
        try:
            element: Any = dataset.get_item(tag)
        except Exception:  # pydicom converts empty values on access, and a bad one raises many types
            header.flag("element_unreadable")
            continue
        if isinstance(element, RawDataElement):
            header.values[int(tag)] = element.value or b""
        elif element.VR == "SQ":
            header.nested[int(tag)] = [_from_dataset(item, coding) for item in element.value]
    return header


__all__ = ["CutShortError", "Header", "PixelElement", "RefusedError", "UNDEFINED", "read_header", "walk_header"]
