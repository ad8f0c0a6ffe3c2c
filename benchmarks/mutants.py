"""Files with one to three wounds, each drawn from (seed, number): the same ones on every machine.

Bytes flipped, cut, doubled or left out; lengths of elements and items that lie; header fields that lie; another
transfer syntax; damaged markers of a codestream; the header of one file before the pixels of another.
"""

import io
import re
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medray.pixels.codecs import TRANSFER_SYNTAXES

CONTAINER_EVERY = 100
SHORT = b"AE|AS|AT|CS|DA|DS|DT|FL|FD|IS|LO|LT|PN|SH|SL|SS|ST|TM|UI|UL|US"
LONG = b"OB|OD|OF|OL|OV|OW|SQ|SV|UC|UN|UR|UT|UV"
ELEMENT = re.compile(rb"(?s)(?=([\x02-\x54\xe0][\0\x7f]..)(?:(%b)|(?:%b)))" % (SHORT, LONG))
MARKER = re.compile(rb"\xff[\x4f-\x5d\x64\x90-\x93\xc0-\xfe]")
ITEM, PIXEL_DATA = b"\xfe\xff\x00\xe0", b"\xe0\x7f\x10\x00"
WORDS = (0, 1, 2, 3, 7, 8, 9, 12, 15, 16, 17, 32, 64, 255, 256, 4095, 16384, 32768, 65535)
LENGTHS = (0, 1, 2, 7, 1000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
NUMBERS = (b"0 ", b"-1", b"1e400 ", b"nan ", b"inf ", b"1e-320", b"", b"1,5 ", b"x ", b"1e300\\1e-300", b"0\\0 ", b"2 ")
FRAMES = (
    b"0 ",
    b"-1",
    b"2 ",
    b"7 ",
    b"300 ",
    b"65535 ",
    b"1000000 ",
    b"999999999 ",
    b"9999999999",
    b"1e5 ",
    b"x ",
    b"",
)
COLOURS = (b"MONOCHROME1 ", b"RGB ", b"YBR_FULL_422", b"YBR_PARTIAL_420 ", b"YBR_RCT ", b"PALETTE COLOR ", b"ARGB", b"")
WORD_TAGS = (0x280002, 0x280006, 0x280010, 0x280011, 0x280100, 0x280101, 0x280102, 0x280103, 0x280120, 0x283002)
TEXT_TAGS = {
    0x280008: FRAMES,
    0x280004: COLOURS,
    **dict.fromkeys((0x281052, 0x281053, 0x280030, 0x181164, 0x281050, 0x281051, 0x280034, 0x200032), NUMBERS),
}
SYNTAXES = tuple(uid.encode() for uid in (*TRANSFER_SYNTAXES, "1.2.840.10008.1.2.4.100", "1.2.3", ""))

Draw = np.random.Generator


@dataclass(frozen=True)
class Mutant:
    """One input: its number, the file it was made of, what was done to that, and the bytes."""

    number: int
    original: str
    wounds: tuple[str, ...]
    data: bytes


def mutant(files: dict[str, bytes], number: int, seed: int = 0) -> Mutant:
    """The mutant of that number; every hundredth is a wounded tar or zip of three files."""
    draw = np.random.default_rng((seed, number))
    names = [str(name) for name in draw.choice(list(files), 3)]
    if number % CONTAINER_EVERY == CONTAINER_EVERY - 1:
        name, data, kinds = "container", _container(files, names, draw), list(ANYWHERE)
    else:
        name, data, kinds = names[0], files[names[0]], list(WOUNDS)
    if draw.random() < 0.1 and name != "container":
        wounds, data = ["transplant"], _transplant(data, files[names[1]])
    else:
        wounds = [str(kind) for kind in draw.choice(kinds, draw.choice([1, 1, 1, 2, 3]))]
    for kind in wounds:
        data = WOUNDS[kind](data, draw) if kind in WOUNDS else data
    return Mutant(number, name, tuple(wounds), data)


def _container(files: dict[str, bytes], names: list[str], draw: Draw) -> bytes:
    buffer = io.BytesIO()
    if draw.random() < 0.5:
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as shard:
            for number, name in enumerate(names):
                shard.writestr(zipfile.ZipInfo(str(number)), files[name], zipfile.ZIP_DEFLATED)
    else:
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for number, name in enumerate(names):
                info = tarfile.TarInfo(str(number))
                info.size = len(files[name])
                tar.addfile(info, io.BytesIO(files[name]))
    return buffer.getvalue()


def _transplant(head: bytes, tail: bytes) -> bytes:
    """The header of one before the pixel data of the other."""
    ends, begins = head.rfind(PIXEL_DATA), tail.rfind(PIXEL_DATA)
    return head[: len(head) // 2 if ends < 0 else ends] + tail[len(tail) // 2 if begins < 0 else begins :]


def _flip(data: bytes, draw: Draw) -> bytes:
    """Some bytes, in half of the cases of the first 600 only."""
    wounded = bytearray(data)
    reach = max(1, len(data) if draw.random() < 0.5 else min(len(data), 600))
    for position in draw.integers(0, reach, draw.integers(1, 9)) if data else ():
        wounded[position] = draw.integers(0, 256)
    return bytes(wounded)


def _cut(data: bytes, draw: Draw) -> bytes:
    return data[: draw.integers(0, len(data) + 1)]


def _double(data: bytes, draw: Draw) -> bytes:
    """Some bytes come twice."""
    start, length = draw.integers(0, len(data) + 1), draw.integers(1, 200)
    return data[: start + length] + data[start:]


def _leave_out(data: bytes, draw: Draw) -> bytes:
    start = draw.integers(0, len(data) + 1)
    return data[:start] + data[start + draw.integers(1, 200) :]


def _lie_of_element(data: bytes, draw: Draw) -> bytes:
    """The length of some element with an explicit VR."""
    found = list(ELEMENT.finditer(data[: 32 * 2**10]))
    if not found:
        return _flip(data, draw)
    match = found[draw.integers(len(found))]
    short = match[2] is not None
    position = match.start() + (6 if short else 8)
    kind = "<H" if short else "<L"
    width = struct.calcsize(kind)
    if position + width > len(data):
        return data
    said = struct.unpack_from(kind, data, position)[0]
    lie = int(draw.choice([*LENGTHS, said + 1, said + 2, max(0, said - 2), 2 * said])) % 256**width
    return data[:position] + struct.pack(kind, lie) + data[position + width :]


def _lie_of_item(data: bytes, draw: Draw) -> bytes:
    """The length of some item: of a sequence, or of a fragment."""
    found = [match.end() for match in re.finditer(re.escape(ITEM), data) if match.end() + 4 <= len(data)]
    if not found:
        return _lie_of_element(data, draw)
    position = found[draw.integers(len(found))]
    said = struct.unpack_from("<L", data, position)[0]
    lie = int(draw.choice([*LENGTHS, said + 1, said + 2, max(0, said - 2), 2 * said])) % 2**32
    return data[:position] + struct.pack("<L", lie) + data[position + 4 :]


def _lie_of_field(data: bytes, draw: Draw) -> bytes:
    """The value of a field that says how pixels are read."""
    tag = int(draw.choice([*WORD_TAGS, *TEXT_TAGS]))
    if tag in TEXT_TAGS:
        return _with_value(data, tag, bytes(draw.choice(np.array(TEXT_TAGS[tag], object))))
    count = 3 if tag == 0x283002 else 1
    return _with_value(data, tag, struct.pack(f"<{count}H", *draw.choice(WORDS, count)))


def _swap_syntax(data: bytes, draw: Draw) -> bytes:
    uid = bytes(draw.choice(np.array(SYNTAXES, object)))
    return _with_value(data, 0x20010, uid + b"\0" * (len(uid) % 2))


def _with_value(data: bytes, tag: int, value: bytes) -> bytes:
    """Another value for the first element of that tag in little endian; as it was where there is none."""
    start = data.find(struct.pack("<HH", tag >> 16, tag & 0xFFFF))
    if start < 0 or start + 8 > len(data):
        return data
    explicit = data[start + 4 : start + 6].isalpha()
    kind, position = ("<H", start + 6) if explicit else ("<L", start + 4)
    said = struct.unpack_from(kind, data, position)[0]
    end = position + struct.calcsize(kind)
    return data[:position] + struct.pack(kind, len(value)) + value + data[end + said :]


def _damage_marker(data: bytes, draw: Draw) -> bytes:
    """Another marker, another length, or another of the bytes behind it."""
    found = [match.start() for match in MARKER.finditer(data) if match.start() + 24 <= len(data)]
    if not found:
        return _flip(data, draw)
    position = found[draw.integers(min(len(found), 40) if draw.random() < 0.7 else len(found))]
    wounded = bytearray(data)
    what = draw.integers(3)
    if what == 0:
        wounded[position + 1] = draw.choice([0x00, 0x4F, 0x51, 0x90, 0x93, 0xC0, 0xC4, 0xD8, 0xD9, 0xDA, 0xF7, 0xFF])
    elif what == 1:
        struct.pack_into(">H", wounded, position + 2, int(draw.choice([0, 1, 2, 3, 255, 65535])))
    else:
        wounded[position + 4 + draw.integers(20)] = draw.integers(0, 256)
    return bytes(wounded)


ANYWHERE: dict[str, Callable[[bytes, Draw], bytes]] = {
    "flip": _flip,
    "cut": _cut,
    "double": _double,
    "leave_out": _leave_out,
}
WOUNDS: dict[str, Callable[[bytes, Draw], bytes]] = {
    **ANYWHERE,
    "lie_of_element": _lie_of_element,
    "lie_of_item": _lie_of_item,
    "lie_of_field": _lie_of_field,
    "swap_syntax": _swap_syntax,
    "damage_marker": _damage_marker,
}
