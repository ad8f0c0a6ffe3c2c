import pathlib

import numpy as np
import pytest

from medray.archive.reading import read_instance
from medray.errors import SampleError, SettingsError
from medray.image_settings import DecodeSettings
from medray.pixels import cross_check as module
from medray.pixels.cross_check import cross_check, differing, is_constant
from medray.pixels.decode import Decoded, decode_again
from medray.pixels.values import frame_values
from tests.pixels.instances import BIG_ENDIAN, EXPLICIT, JPEGLS, JPEGXL, LOSSLESS, encoded_instance, stored_instance

ARRAY = np.random.default_rng(0).integers(0, 4096, (31, 17)).astype(np.uint16)
FAMILIES = ("REF/CT1_UNC", "RLE/CT1_RLE", "JPLL/CT1_JPLL", "JLSL/CT1_JLSL", "J2KR/CT1_J2KR", "JLSN/MR4_JLSN")


def _off(levels: int):
    """A second decoder that reads one sample `levels` too high."""

    def decode(instance, frame):
        stored = decode_again(instance, frame).stored.copy()
        stored[3, 5] += levels
        return Decoded(stored, "other.decoder", ())

    return decode


@pytest.mark.parametrize("syntax", [EXPLICIT, LOSSLESS, JPEGLS])
def test_two_decoders_agree(syntax: str) -> None:
    assert cross_check(stored_instance(ARRAY, syntax), 0) == ("cross_checked",)


def test_native_frames_are_read_by_pydicom_too() -> None:
    rgb = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    planes = np.ascontiguousarray(rgb.transpose(2, 0, 1)).tobytes()
    colour = {"samples_per_pixel": 3, "photometric_interpretation": "RGB", "planar_configuration": 1}
    bits = {"bits_allocated": 1, "bits_stored": 1, "high_bit": 0}
    instances = [
        encoded_instance(ARRAY.astype(">u2").tobytes(), ARRAY.shape, BIG_ENDIAN, bits_allocated=16, bits_stored=12),
        encoded_instance(planes, (4, 5), EXPLICIT, **colour),
        encoded_instance(b"\xa5\x5a", (4, 4), EXPLICIT, **bits),
        encoded_instance(np.linspace(-1, 1, 6, dtype="<f4").tobytes(), (2, 3), EXPLICIT, bits_allocated=32,
                         bits_stored=32, high_bit=31, float_bits=32),
    ]  # fmt: skip
    assert [cross_check(instance, 0) for instance in instances] == [("cross_checked",)] * 4


def test_real_images_of_every_family_agree(medray_data: pathlib.Path) -> None:
    images = [read_instance((medray_data / "wg04" / name).read_bytes(), "dicom") for name in FAMILIES]
    assert [cross_check(image, 0) for image in images] == [("cross_checked",)] * len(FAMILIES)


def test_one_wrong_sample_fails_the_frame_by_name(monkeypatch) -> None:
    monkeypatch.setattr(module, "decode_again", _off(1))
    detail = r"decoders_disagree: imagecodecs\.jpeg8 and other\.decoder differ in 1 of 527 samples"
    with pytest.raises(SampleError, match=detail):
        frame_values(stored_instance(ARRAY, LOSSLESS), 0, checked=True)


def test_lossy_frames_may_differ_by_two_levels(monkeypatch, medray_data: pathlib.Path) -> None:
    lossy = read_instance((medray_data / "wg04" / "JLSN" / "MR4_JLSN").read_bytes(), "dicom")
    monkeypatch.setattr(module, "decode_again", _off(2))
    assert cross_check(lossy, 0) == ("cross_checked",)
    monkeypatch.setattr(module, "decode_again", _off(3))
    with pytest.raises(SampleError, match="differ in 1 of"):
        cross_check(lossy, 0)


def test_a_frame_that_no_second_decoder_reads_says_so() -> None:
    assert cross_check(stored_instance(ARRAY, JPEGXL), 0) == ("not_cross_checked",)


def test_a_constant_image_is_flagged_and_decoded_twice() -> None:
    flat = np.full((31, 17), 7, np.uint16)
    assert frame_values(stored_instance(flat), 0).flags == ("constant_image",)
    assert frame_values(stored_instance(flat, LOSSLESS), 0).flags == ("constant_image", "cross_checked")
    assert frame_values(stored_instance(ARRAY, LOSSLESS), 0).flags == ()


def test_a_decoder_that_gives_up_in_silence_is_caught(monkeypatch) -> None:
    silent = Decoded(np.zeros_like(ARRAY), "imagecodecs.jpeg8", ())
    monkeypatch.setattr(module, "decode_frame", lambda *_, **__: silent)
    monkeypatch.setattr("medray.pixels.values.decode_frame", lambda *_, **__: silent)
    with pytest.raises(SampleError, match="decoders_disagree"):
        frame_values(stored_instance(ARRAY, LOSSLESS), 0)


@pytest.mark.parametrize("place", [0, 1, 263, 526])
def test_one_other_sample_makes_an_image_not_constant(place: int) -> None:
    flat = np.zeros((31, 17), np.uint8)
    assert is_constant(flat)
    flat.reshape(-1)[place] = 1
    assert not is_constant(flat)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_between_0_and_1(share: float) -> None:
    with pytest.raises(SettingsError, match=r"--decode\.cross_check is .*, and must be between 0 and 1"):
        DecodeSettings(cross_check=share)


def test_no_number_agrees_with_no_number() -> None:
    first, second = np.array([[np.nan, 1.0]]), np.array([[np.nan, 4.0]])
    assert (differing(first, first, 0), differing(first, second, 2), differing(first, second, 3)) == (0, 1, 0)
    assert differing(first, np.array([[0.0, 1.0]]), 9) == 1
