import numpy as np
import pytest

from medray.errors import SampleError
from medray.pixels.decode import decode_frame
from tests.pixels.instances import BIG_ENDIAN, EXPLICIT, encoded_instance, stored_instance

RGB = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)


def test_big_endian_words_are_swapped() -> None:
    header = {"bits_allocated": 16, "bits_stored": 16, "high_bit": 15}
    instance = encoded_instance(b"\x01\x02\x03\x04", (1, 2), BIG_ENDIAN, **header)
    assert decode_frame(instance, 0).stored.tolist() == [[0x0102, 0x0304]]


def test_one_bit_pixels_start_at_the_lowest_bit() -> None:
    instance = encoded_instance(bytes([0b00000101, 0b1]), (3, 3), EXPLICIT, bits_allocated=1, bits_stored=1, high_bit=0)
    assert decode_frame(instance, 0).stored.tolist() == [[1, 0, 1], [0, 0, 0], [0, 0, 1]]


def test_colour_planes_and_colour_pixels_give_the_same_image() -> None:
    planes = np.ascontiguousarray(RGB.transpose(2, 0, 1)).tobytes()
    header = {"samples_per_pixel": 3, "photometric_interpretation": "RGB", "planar_configuration": 1}
    assert np.array_equal(decode_frame(encoded_instance(planes, (2, 4), EXPLICIT, **header), 0).stored, RGB)
    assert np.array_equal(decode_frame(stored_instance(RGB), 0).stored, RGB)


def test_subsampled_chroma_is_shared_by_a_pair() -> None:
    header = {"samples_per_pixel": 3, "photometric_interpretation": "YBR_FULL_422"}
    instance = encoded_instance(bytes([10, 20, 128, 128]), (1, 2), EXPLICIT, **header)
    assert decode_frame(instance, 0, colour=False).stored.tolist() == [[[10, 128, 128], [20, 128, 128]]]
    assert decode_frame(instance, 0).stored.tolist() == [[[10, 10, 10], [20, 20, 20]]]


def test_chroma_of_pairs_in_odd_columns_is_refused() -> None:
    header = {"samples_per_pixel": 3, "photometric_interpretation": "YBR_FULL_422"}
    with pytest.raises(SampleError, match="unsupported_pixels: YBR_FULL_422 with an odd number of columns, 3"):
        decode_frame(encoded_instance(bytes(12), (2, 3), EXPLICIT, **header), 0)


@pytest.mark.parametrize("bits", [32, 64])
def test_float_pixels_keep_their_values(bits: int) -> None:
    values = np.array([[0.1, -3e5]], f"<f{bits // 8}")
    header = {"bits_allocated": bits, "bits_stored": bits, "high_bit": bits - 1, "float_bits": bits}
    decoded = decode_frame(encoded_instance(values.tobytes(), (1, 2), EXPLICIT, **header), 0)
    assert np.array_equal(decoded.stored, values)


def test_a_short_frame_is_refused_and_a_long_one_flagged() -> None:
    with pytest.raises(SampleError, match="pixel_length_mismatch: the frame has 3 bytes, the header says 4"):
        decode_frame(encoded_instance(bytes(3), (2, 2), EXPLICIT), 0)
    assert decode_frame(encoded_instance(bytes(9), (2, 2), EXPLICIT), 0).flags == ("extra_bytes",)
    assert decode_frame(encoded_instance(bytes(10), (3, 3), EXPLICIT), 0).flags == ()


def test_an_odd_number_of_allocated_bits_is_refused() -> None:
    with pytest.raises(SampleError, match=r"unsupported_pixels: Bits Allocated \(0028,0100\) is 12"):
        decode_frame(encoded_instance(bytes(6), (2, 2), EXPLICIT, bits_allocated=12, bits_stored=12), 0)


def test_a_frame_of_a_billion_pixels_is_refused_before_it_is_made() -> None:
    with pytest.raises(SampleError, match="image_too_large"):
        decode_frame(encoded_instance(b"", (2**16 - 1, 2**16 - 1), EXPLICIT), 0)
