"""Raw DICOM values to Python: text, numbers, times, ages. A bad value becomes None and a flag, never an exception.

Source: DICOM PS3.5 6.2 (value representations) and 6.1.2 (character sets).
"""

import math
import re
import struct
import warnings
from datetime import date

from medray.archive.headers import Header

SPECIFIC_CHARACTER_SET = 0x00080005
DELIMITERS = set(b"\t\n\f\r\\")
TEXT_AT_MOST = 64
OLDEST_YEARS = 90.0
YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
TIME = re.compile(r"(\d\d):?(\d\d)?:?(\d\d)?(\.\d*)?$")
AGE = re.compile(r"(\d{1,3})([YMWD])$")
UID = re.compile(r"[0-9.]{1,128}$")
INTEGER = re.compile(r"[+-]?\d{1,12}$")
DATE = re.compile(r"(\d{4})\.?(\d\d)\.?(\d\d)$")
DATE_TIME = re.compile(r"(\d{8})(\d{4}(?:\d\d)?(?:\.\d*)?)([+-]\d{4})?$")
DAY_S = 86400
PRIVATE_BLOCKS = range(0x10, 0x100)
GB2312_IN_G1 = "\x1b$)A"  # of ISO 2022 IR 58; pydicom leaves it in the text


def bad(header: Header, tag: int) -> None:
    """Flag an element whose value breaks its representation, by keyword."""
    from pydicom.datadict import keyword_for_tag

    header.flag(f"bad_value:{keyword_for_tag(tag) or f'{tag:08X}'}")


def raw_text(header: Header, tag: int) -> str | None:
    """A text value whole, decoded by the object's character set; None where absent or empty.

    What the declared character set cannot read is read as UTF-8, else Latin-1, with the flag `charset_guessed`.
    """
    raw = header.values.get(tag)
    if not raw:
        return None
    try:
        text = raw.decode("ascii")
        if "\x1b" in text:
            text = _foreign(header, raw)
    except UnicodeDecodeError:
        text = _foreign(header, raw)
    return text.strip(" \0\t\r\n") or None


def _foreign(header: Header, raw: bytes) -> str:
    from pydicom.charset import convert_encodings, decode_bytes, python_encoding

    declared = header.values.get(SPECIFIC_CHARACTER_SET, b"").decode("latin-1").strip(" \0").split("\\")
    if any(declared):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                encodings = convert_encodings(declared)
                if set(encodings) <= set(python_encoding.values()):  # pydicom takes any codec of Python's, punycode too
                    return decode_bytes(raw, encodings, DELIMITERS).replace(GB2312_IN_G1, "")
            except Exception:  # an unknown or misused set raises many types; the guess below is flagged
                pass
    header.flag("charset_guessed")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def text(header: Header, tag: int) -> str | None:
    """The first value of a text element, at most 64 characters."""
    value = raw_text(header, tag)
    return value.partition("\\")[0].strip()[:TEXT_AT_MOST] or None if value else None


def code(header: Header, tag: int) -> str | None:
    """The first value of a code string, upper case."""
    value = text(header, tag)
    return value.upper() if value else None


def uid(header: Header, tag: int) -> str | None:
    """A UID; None and a flag where it holds anything but digits and dots."""
    raw = header.values.get(tag)
    value = raw.decode("latin-1").strip(" \0\t\r\n") if raw else ""
    if value and not UID.match(value):
        bad(header, tag)
        return None
    return value or None


def decimals(header: Header, tag: int, count: int | None = None) -> tuple[float, ...] | None:
    """All values of a DS (or IS) element; None where absent, empty, no finite number, or not `count` of them."""
    raw = header.values.get(tag)
    if not raw or not (parts := raw.decode("latin-1").strip(" \0")):
        return None
    try:
        numbers = tuple(float(part.strip(" \0").replace("_", "x")) for part in parts.split("\\"))
    except ValueError:
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)) or (count is not None and len(numbers) != count):
        bad(header, tag)
        return None
    return numbers


def decimal(header: Header, tag: int) -> float | None:
    """The first value of a DS element."""
    numbers = decimals(header, tag)
    return numbers[0] if numbers else None


def integer_text(header: Header, tag: int) -> int | None:
    """The first value of an IS element, within 32 bits. `5.0` counts as 5."""
    raw = header.values.get(tag)
    if not raw or not (part := raw.decode("latin-1").partition("\\")[0].strip(" \0")):
        return None
    if INTEGER.match(part):
        number = int(part)
        if -(2**31) <= number < 2**31:
            return number
    elif (value := decimal(header, tag)) is not None and value.is_integer() and abs(value) < 2**31:
        return int(value)
    bad(header, tag)
    return None


def binary(header: Header, tag: int, signed: bool = False) -> int | None:
    """The first value of a US or SS element (two bytes; four where the header has UL or SL)."""
    raw = header.values.get(tag)
    if not raw:
        return None
    if len(raw) % 2:
        bad(header, tag)
        return None
    width = 4 if len(raw) == 4 else 2
    number = int.from_bytes(raw[:width], "little" if header.coding.little else "big", signed=signed)
    if width == 4 and not -(2**15) <= number < 2**16:
        bad(header, tag)
        return None
    return number


def doubles(header: Header, tag: int, *, single: bool = False) -> tuple[float, ...] | None:
    """All values of an FD (`single`: FL) element; None where absent or not finite."""
    raw, width = header.values.get(tag), 4 if single else 8
    if not raw or len(raw) % width:
        return None
    numbers = struct.unpack(f"{'<' if header.coding.little else '>'}{len(raw) // width}{'f' if single else 'd'}", raw)
    return numbers if all(map(math.isfinite, numbers)) else None


def time_s(header: Header, tag: int) -> float | None:
    """A TM value in seconds since midnight. `HH:MM:SS` of ACR-NEMA is read too."""
    value = text(header, tag)
    if value is None:
        return None
    seconds = _seconds(value)
    if seconds is None:
        bad(header, tag)
    return seconds


def _seconds(value: str) -> float | None:
    match = TIME.match(value)
    if not match:
        return None
    hours, minutes, seconds, fraction = match.groups(default="")
    parts = int(hours), int(minutes or 0), int(seconds or 0)
    if parts[0] > 23 or parts[1] > 59 or parts[2] > 60:
        return None
    return parts[0] * 3600.0 + parts[1] * 60 + parts[2] + (float(fraction) if len(fraction) > 1 else 0.0)


def _days(value: str) -> int | None:
    match = DATE.match(value)
    try:
        return date(*map(int, match.groups())).toordinal() if match else None
    except ValueError:
        return None


def moment_s(header: Header, date_tag: int, time_tag: int) -> float | None:
    """A DA and a TM value as seconds since the year 1. Dates serve to take differences in this room, and stay in it."""
    value, seconds = text(header, date_tag), time_s(header, time_tag)
    if value is None:
        return None
    days = _days(value)
    if days is None:
        bad(header, date_tag)
    return None if days is None or seconds is None else days * DAY_S + seconds


def date_time_s(header: Header, tag: int) -> tuple[float, str] | None:
    """A DT value, to the minute at the least, as in `moment_s`, and its offset from UTC (`+0100`; empty for none)."""
    value = text(header, tag)
    if value is None:
        return None
    match = DATE_TIME.match(value)
    days, seconds = (_days(match[1]), _seconds(match[2])) if match else (None, None)
    if match is None or days is None or seconds is None:
        bad(header, tag)
        return None
    return days * DAY_S + seconds, match[3] or ""


def private_tag(header: Header, group: int, creator: str, element: int) -> int | None:
    """The tag of a private element in whatever block its creator reserved; None where no block is the creator's.

    Source: DICOM PS3.5 7.8.1.
    """
    for block in PRIVATE_BLOCKS:
        if group << 16 | block in header.values and text(header, group << 16 | block) == creator:
            return group << 16 | block << 8 | element
    return None


def private_tags(group: int, *elements: int) -> frozenset[int]:
    """Every tag that the creators of a group, and these elements of theirs, can have."""
    return frozenset(group << 16 | block for block in PRIVATE_BLOCKS).union(
        group << 16 | block << 8 | element for block in PRIVATE_BLOCKS for element in elements
    )


def age_years(header: Header, tag: int) -> float | None:
    """An AS value in years, 90 at the most."""
    value = code(header, tag)
    if value is None:
        return None
    match = AGE.match(value)
    if not match:
        bad(header, tag)
        return None
    return min(int(match[1]) * YEARS[match[2]], OLDEST_YEARS)
