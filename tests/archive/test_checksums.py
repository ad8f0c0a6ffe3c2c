"""The checksums of a packed archive."""

import zlib

from medray.archive.checksums import crc32


def test_the_check_value_of_the_standard():
    assert crc32(b"123456789") == "crc32:cbf43926"  # RFC 1952 (gzip), ITU-T V.42


def test_what_zlib_finds():
    for length in (0, 1, 511, 512, 100_003):
        data = bytes(n % 251 for n in range(length))
        assert crc32(data) == f"crc32:{zlib.crc32(data):08x}"
