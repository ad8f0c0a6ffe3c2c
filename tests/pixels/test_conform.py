from typing import Any

import imagecodecs
import numpy as np
import pytest

from medray.archive.instance import PixelModule
from medray.errors import SampleError
from medray.pixels.codecs import TRANSFER_SYNTAXES
from medray.pixels.codestream import Codestream
from medray.pixels.conform import conform
from medray.pixels.decode import decode_frame
from tests.pixels.instances import (
    BASELINE,
    ENCODERS,
    EXPLICIT,
    EXTENDED,
    HTJ2K,
    HTJ2K_LOSSY,
    JPEG2K,
    JPEGLS,
    JPEGXL,
    LOSSLESS,
    encoded_instance,
    stored_instance,
)


def conformed(values, syntax: str, *, bits: int | None, signed: bool = False, **header: Any):
    """The values and flags that `conform` makes of one row of a codec's samples."""
    array = np.array([values])
    pixels = PixelModule(syntax, 1, len(values), bits_allocated=16, **header)
    stream = None if bits is None else Codestream(1, len(values), 1, bits, signed=signed)
    out, flags = conform(array.astype(np.int16 if signed else np.uint16), pixels, TRANSFER_SYNTAXES[syntax], stream)
    return out[0].tolist(), flags


def test_lossy_overshoot_is_clipped_so_that_white_stays_white() -> None:
    assert conformed([1024, 5], EXTENDED, bits=12, bits_stored=10) == ([1023, 5], ("overshoot_clipped",))


def test_lossy_values_far_beyond_the_header_are_believed() -> None:
    assert conformed([4000, 5], EXTENDED, bits=12, bits_stored=8) == ([4000, 5], ("bits_from_codestream",))


def test_lossless_differences_modulo_the_precision_are_masked() -> None:
    assert conformed([4096 + 7, 5], LOSSLESS, bits=12, bits_stored=12) == ([7, 5], ("high_bits_masked",))


def test_overlay_bits_are_masked() -> None:
    header: dict[str, Any] = {"bits_stored": 12, "high_bit": 11}
    assert conformed([0xF001, 5], EXPLICIT, bits=None, **header) == ([1, 5], ("high_bits_masked",))


def test_the_sign_bit_is_extended() -> None:
    header: dict[str, Any] = {"bits_stored": 12, "high_bit": 11, "pixel_representation": 1}
    assert conformed([0x0FFF, 0x0800, 5], EXPLICIT, bits=None, **header) == ([-1, -2048, 5], ())
    assert conformed([0x0FFF, 5], JPEGLS, bits=12, **header) == ([-1, 5], ())


def test_a_codestream_of_the_other_sign_is_reinterpreted() -> None:
    signed: dict[str, Any] = {"bits_stored": 13, "pixel_representation": 1}
    flags = ("sign_differs_from_codestream",)
    assert conformed([6192, 3], JPEG2K, bits=13, **signed) == ([-2000, 3], flags)
    found = conformed([-2000, 3], JPEG2K, bits=13, signed=True, bits_stored=13)
    assert found == ([6192, 3], (*flags, "high_bits_masked"))


def test_twos_complement_in_a_wider_codestream_without_sign_is_the_headers() -> None:
    signed: dict[str, Any] = {"bits_stored": 13, "pixel_representation": 1}
    assert conformed([6192, 3], JPEGLS, bits=16, **signed) == ([-2000, 3], ())
    assert conformed([9000, 3], JPEGLS, bits=16, **signed) == ([9000, 3], ("bits_from_codestream",))
    assert conformed([6192, 3], JPEG2K, bits=16, signed=True, **signed) == ([6192, 3], ("bits_from_codestream",))


def test_more_bits_in_the_codestream_than_in_the_header_win() -> None:
    assert conformed([5000, 3], JPEG2K, bits=14, bits_stored=12) == ([5000, 3], ("bits_from_codestream",))
    assert conformed([4000, 3], JPEG2K, bits=14, bits_stored=12) == ([4000, 3], ())


def test_stored_values_above_bit_zero_are_shifted_down() -> None:
    header: dict[str, Any] = {"bits_stored": 12, "high_bit": 15}
    assert conformed([0x1230, 0xFFF0], EXPLICIT, bits=None, **header) == ([0x123, 0xFFF], ("high_bit_shifted",))
    signed: dict[str, Any] = header | {"pixel_representation": 1}
    assert conformed([0x1230, 0xFFF0, 0x8000], EXPLICIT, bits=None, **signed)[0] == [0x123, -1, -2048]
    assert conformed([5], EXPLICIT, bits=None, bits_stored=12, high_bit=3) == ([5], ("high_bit_ignored",))


@pytest.mark.parametrize("syntax", [LOSSLESS, JPEGLS, JPEG2K])
def test_a_codestream_of_another_size_is_refused(syntax: str) -> None:
    frame = ENCODERS[syntax](np.zeros((8, 8), np.uint8))
    with pytest.raises(SampleError, match="corrupt_image: the codestream is 8x8, Rows and Columns .* say 8x9"):
        decode_frame(encoded_instance(frame, (8, 9), syntax), 0)


def test_a_colour_codestream_under_a_grey_header_is_refused() -> None:
    frame = imagecodecs.jpeg8_encode(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(SampleError, match=r"3 components, Samples per Pixel \(0028,0002\) says 1"):
        decode_frame(encoded_instance(frame, (8, 8), BASELINE), 0)


def test_lossless_differences_of_the_whole_range_survive() -> None:
    array = np.tile(np.array([[0, 65535], [65535, 0]], np.uint16), (8, 8))
    assert np.array_equal(decode_frame(stored_instance(array, LOSSLESS), 0).stored, array)


@pytest.mark.parametrize("syntax", [BASELINE, LOSSLESS, JPEGLS, JPEG2K, HTJ2K, JPEGXL])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.98])
def test_a_cut_frame_is_never_an_image(syntax: str, share: float) -> None:
    array = np.random.default_rng(3).integers(0, 256, (60, 70)).astype(np.uint8)
    frame = bytes(imagecodecs.jpeg8_encode(array) if syntax == BASELINE else ENCODERS[syntax](array))
    with pytest.raises(SampleError, match="frame is cut|decode_failed"):
        decode_frame(encoded_instance(frame[: int(share * len(frame))], array.shape, syntax), 0)


def test_errors_that_imagecodecs_loses_are_found() -> None:
    array = np.random.default_rng(4).integers(0, 256, (60, 70)).astype(np.uint8)
    frame, refused = ENCODERS[HTJ2K](array), 0
    for position in range(len(frame) // 2, len(frame) - 2, len(frame) // 25):
        broken = frame[:position] + b"\xff" * 2 + frame[position + 2 :]
        try:
            decode_frame(encoded_instance(broken, array.shape, HTJ2K), 0)
        except SampleError:
            refused += 1
    assert refused > 0


def test_lossy_htj2k_does_not_wrap_at_white() -> None:
    array = np.zeros((64, 64), np.uint8)
    array[8:40, 20:50] = 255
    frame = imagecodecs.htj2k_encode(array, level=0.05, reversible=False)
    decoded = decode_frame(encoded_instance(frame, array.shape, HTJ2K_LOSSY), 0).stored
    assert np.abs(decoded.astype(int) - array).max() < 128


@pytest.mark.parametrize("bits", [0, 12, 24, 32768])
def test_bits_allocated_that_no_type_has_are_refused(bits: int) -> None:
    instance = stored_instance(np.zeros((4, 6), np.uint8), JPEGXL, bits_allocated=bits)
    with pytest.raises(SampleError, match=rf"unsupported_pixels: Bits (Allocated|Stored).* {bits}"):
        decode_frame(instance, 0)
