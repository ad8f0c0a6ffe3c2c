import imagecodecs
import numpy as np
import pytest

from medray.archive.instance import LookupTable, Palette
from medray.errors import SampleError
from medray.pixels.colour import expand_palette, ybr_to_rgb
from medray.pixels.decode import decode_frame
from tests.pixels.instances import BASELINE, EXPLICIT, JPEG2K, JPEGXL, encoded_instance, stored_instance

TO_RGB = np.array([[1, 1, 1], [0, -0.114 * 1.772 / 0.587, 1.772], [1.402, -0.299 * 1.402 / 0.587, 0]])


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_ybr_full_is_within_one_level_of_the_equations(bits: int) -> None:
    dtype = np.uint8 if bits == 8 else np.uint16
    ybr = np.random.default_rng(0).integers(0, 2**bits, (50, 60, 3)).astype(dtype)
    half = 2 ** (bits - 1)
    exact = np.clip((ybr - np.array([0.0, half, half])) @ TO_RGB, 0, 2**bits - 1)
    assert np.abs(ybr_to_rgb(ybr, bits) - exact).max() < 1


def ramp(bits: int, scale: int) -> LookupTable:
    return LookupTable(-2, bits, tuple(scale * entry for entry in (10, 20, 30)))


def test_palette_of_16_bits_gives_its_high_byte() -> None:
    palette = Palette(ramp(16, 256), ramp(16, 512), ramp(16, 768))
    indices = np.array([[-3, -2, -1, 0, 1]], np.int16)
    rgb = expand_palette(indices, palette)
    assert rgb[0].tolist() == [[10, 20, 30], [10, 20, 30], [20, 40, 60], [30, 60, 90], [30, 60, 90]]


def test_palette_of_8_bit_entries_is_taken_as_it_is() -> None:
    palette = Palette(ramp(16, 1), ramp(16, 1), ramp(16, 1))
    assert expand_palette(np.array([[-2]], np.int16), palette).tolist() == [[[10, 10, 10]]]


def test_palette_colour_without_a_palette_is_refused() -> None:
    instance = encoded_instance(bytes(4), (2, 2), EXPLICIT, photometric_interpretation="PALETTE COLOR")
    with pytest.raises(SampleError, match="unsupported_pixels: PALETTE COLOR without"):
        decode_frame(instance, 0)


def test_a_jpeg_declared_rgb_that_is_ycbcr_is_converted_and_flagged() -> None:
    array = np.full((16, 16, 3), (200, 30, 60), np.uint8)
    frame = imagecodecs.jpeg8_encode(array, level=100)
    header = {"samples_per_pixel": 3, "photometric_interpretation": "RGB"}
    decoded = decode_frame(encoded_instance(frame, (16, 16), BASELINE, **header), 0)
    assert np.abs(decoded.stored.astype(int) - array).max() <= 2
    assert decoded.flags == ("colour_from_codestream",)


@pytest.mark.parametrize("syntax", [EXPLICIT, JPEG2K, JPEGXL])
def test_rgb_comes_back_as_it_was(syntax: str) -> None:
    array = np.random.default_rng(1).integers(0, 256, (24, 16, 3)).astype(np.uint8)
    assert np.array_equal(decode_frame(stored_instance(array, syntax), 0).stored, array)


def test_partial_range_is_refused() -> None:
    header = {"samples_per_pixel": 3, "photometric_interpretation": "YBR_PARTIAL_422"}
    with pytest.raises(SampleError, match="YBR_PARTIAL_422"):
        decode_frame(encoded_instance(bytes(48), (4, 4), EXPLICIT, **header), 0)
