import pathlib

import numpy as np
import pydicom.data
import pytest

from medray.archive import elements
from medray.archive.elements import EXPLICIT_LITTLE, IMPLICIT_LITTLE, UNDEFINED, CutShortError, RefusedError, walk

FILES = pathlib.Path(pydicom.data.__file__).parent / "test_files"
PIXELS = 0x7FE00010
DEEPER = b"\xfe\xff\x00\xe0\xff\xff\xff\xff" + b"\x08\x00\x40\x11\xff\xff\xff\xff"
"""An implicit item of undefined length, and in it a sequence of undefined length."""
ENDS = b"\xfe\xff\xdd\xe0\0\0\0\0" + b"\xfe\xff\x0d\xe0\0\0\0\0"
NESTED = 2 * DEEPER + 2 * ENDS + b"\xfe\xff\x00\xe0\x04\0\0\0abcd" + b"\xfe\xff\xdd\xe0\0\0\0\0"
CODINGS = [EXPLICIT_LITTLE, IMPLICIT_LITTLE]


def element(tag: int, value: bytes, coding: elements.Coding, vr: bytes = b"UN") -> bytes:
    head = (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
    size = len(value).to_bytes(4, "little")
    if coding.implicit:
        return head + size + value
    return head + vr + (size[:2] if vr in elements.SHORT else b"\0\0" + size) + value


def walked(data: bytes, coding: elements.Coding, **how):
    """Values and end of a walk, or how it was refused."""
    values: dict[int, bytes] = {}
    try:
        return values, walk(data, 0, coding, values=values, **how)
    except RefusedError as error:
        return values, str(error)
    except CutShortError as error:
        return values, error.needs


def assert_same_walk(monkeypatch, data: bytes, coding: elements.Coding, **how) -> None:
    monkeypatch.setattr(elements, "WORTH_COMPILED_CODE", 0)
    compiled = walked(data, coding, **how)
    monkeypatch.setattr(elements, "WORTH_COMPILED_CODE", 2**60)
    assert compiled == walked(data, coding, **how)


@pytest.mark.parametrize("coding", CODINGS)
def test_more_elements_than_one_call_holds_are_all_found(monkeypatch, coding) -> None:
    data = b"".join(element(0x00100000 + n, bytes([n % 251] * n), coding) for n in range(1, 300))
    monkeypatch.setattr(elements, "WORTH_COMPILED_CODE", 0)
    values, end = walked(data, coding)
    assert values == {0x00100000 + n: bytes([n % 251] * n) for n in range(1, 300)}
    assert (end.position, end.tag) == (len(data), None)
    kept, _ = walked(data, coding, wanted=frozenset((0x00100001, 0x00100080, 0x0010012B, 0x00990000)))
    assert sorted(kept) == [0x00100001, 0x00100080, 0x0010012B]
    assert walked(data, coding, wanted=frozenset())[0] == {}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(
    "tail",
    [
        b"",
        b"\0" * 7,
        element(0x00080005, b"lower than the last one", EXPLICIT_LITTLE),
        b"\x10\x00\x30\x00ZZ\x02\x00ab",
        b"\x10\x00\x30\x00OB\x00\x00\xff\xff\xff\x00",
        b"\x10\x00\x30\x00OB",
        b"\x10\x00\x30\x00SQ\x00\x00\xff\xff\xff\xff\xfe\xff\xdd\xe0\x00\x00\x00\x00",
        b"\x10\x00\x30\x00UN\x00\x00\xff\xff\xff\xff" + NESTED + b"\x10\x00\x40\x00LO\x02\x00ab",
        b"\x10\x00\x30\x00\xff\xff\xff\xff" + NESTED + b"\x10\x00\x40\x00\x02\x00\x00\x00ab",
        b"\x10\x00\x30\x00\xff\xff\xff\xff" + 40 * DEEPER,
        b"\xe0\x7f\x10\x00OW\x00\x00" + UNDEFINED.to_bytes(4, "little"),
    ],
)
def test_what_is_not_plain_ends_as_without_compiled_code(monkeypatch, coding, tail: bytes) -> None:
    data = b"".join(element(0x00100010 + n, b"ab" * n, coding, b"LO") for n in range(5)) + tail
    assert_same_walk(monkeypatch, data, coding)
    assert_same_walk(monkeypatch, data, coding, wanted=frozenset((0x00100012,)), below=PIXELS)


@pytest.mark.parametrize("coding", CODINGS)
def test_nested_items_of_undefined_length_are_skipped_in_compiled_code(coding) -> None:
    head = b"\x10\x00\x30\x00" + (b"" if coding.implicit else b"UN\0\0") + b"\xff\xff\xff\xff"
    data = head + NESTED + element(0x00100040, b"ab" * 500, coding, b"LT")
    values, end = walked(data, coding)
    assert values == {0x00100030: NESTED[:-8], 0x00100040: b"ab" * 500} and end.position == len(data)


def test_real_headers_are_walked_alike_whole_cut_and_wounded(monkeypatch) -> None:
    files = sorted(path for path in FILES.rglob("*.dcm") if path.stat().st_size < 2**17)[:60]
    rng = np.random.default_rng(0)
    for path in files:
        data = path.read_bytes()[132:]
        for coding in CODINGS:
            assert_same_walk(monkeypatch, data, coding, below=PIXELS)
            assert_same_walk(monkeypatch, data[: len(data) // 2], coding, below=PIXELS)
            for _ in range(5):
                wounded = bytearray(data)
                for position in rng.integers(0, min(len(data), 2000), 3):
                    wounded[position] = rng.integers(0, 256)
                assert_same_walk(monkeypatch, bytes(wounded), coding, below=PIXELS)
    assert len(files) > 40
