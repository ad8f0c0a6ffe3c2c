import pytest

from medray.archive import values
from medray.archive.elements import EXPLICIT_BIG, EXPLICIT_LITTLE
from medray.archive.headers import Header

TAG = 0x00100020


def header(raw: bytes, coding=EXPLICIT_LITTLE, charset: bytes = b"") -> Header:
    return Header(b"", coding, {TAG: raw, values.SPECIFIC_CHARACTER_SET: charset})


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [(b"070907.0705 ", 25747.0705), (b"1010", 36600.0), (b"10", 36000.0), (b"10:30:00", 37800.0), (b"235960", 86400.0)],
)
def test_a_time_is_seconds_since_midnight(raw, seconds):
    assert values.time_s(header(raw), TAG) == pytest.approx(seconds)


@pytest.mark.parametrize(("raw", "years"), [(b"035Y", 35), (b"018M", 1.5), (b"095Y", 90), (b"014D", 14 / 365.25)])
def test_an_age_is_in_years_and_ends_at_ninety(raw, years):
    assert values.age_years(header(raw), TAG) == pytest.approx(years)


@pytest.mark.parametrize("raw", [b"1A", b"nan", b"1e999", b"1_0", b"\xff\xfe", b"--"])
def test_a_bad_decimal_is_none_and_flagged_by_keyword(raw):
    bad = header(raw)
    assert values.decimal(bad, TAG) is None
    assert bad.flags == ["bad_value:PatientID"]


def test_an_empty_value_is_none_without_a_flag():
    empty = header(b"  ")
    assert values.decimal(empty, TAG) is None and values.integer_text(empty, TAG) is None
    assert empty.flags == []


@pytest.mark.parametrize(
    ("raw", "number"), [(b"+7 ", 7), (b"5.0", 5), (b"-3\\4", -3), (b"99999999999", None), (b"1A", None)]
)
def test_integer_strings_stay_within_32_bits(raw, number):
    assert values.integer_text(header(raw), TAG) == number


def test_binary_numbers_follow_the_byte_order():
    assert values.binary(header(b"\x00\x02"), TAG) == 512
    assert values.binary(header(b"\x00\x02", EXPLICIT_BIG), TAG) == 2
    assert values.binary(header(b"\x30\xf8"), TAG, signed=True) == -2000
    assert values.binary(header(b"\x00\x02\x00\x00"), TAG) == 512
    assert values.binary(header(b"\x01"), TAG) is None


def test_text_is_read_by_its_character_set():
    yamada = b"\x1b$B;3ED\x1b(B"
    assert values.raw_text(header(yamada, charset=b"\\ISO 2022 IR 87"), TAG) == "山田"
    assert values.raw_text(header("Müller".encode("latin-1"), charset=b"ISO_IR 100"), TAG) == "Müller"
    assert values.raw_text(header("Müller".encode(), charset=b"ISO_IR 192"), TAG) == "Müller"


@pytest.mark.parametrize("charset", [b"", b"ISO_IR 999", b"nonsense", b"\xff\xff", b"ISO 2022 IR 87"])
def test_an_unknown_character_set_is_guessed_and_flagged(charset):
    guessed = header("Jörg".encode("latin-1"), charset=charset)
    assert values.raw_text(guessed, TAG)
    assert guessed.flags == ["charset_guessed"]


def test_a_uid_of_other_than_digits_and_dots_is_flagged():
    assert values.uid(header(b"1.2.840\0"), TAG) == "1.2.840"
    bad = header(b"1.2.Smith")
    assert values.uid(bad, TAG) is None and bad.flags


def test_text_is_cut_at_64_characters_and_the_first_value():
    assert values.text(header(b"a" * 200 + b"\\b"), TAG) == "a" * 64
