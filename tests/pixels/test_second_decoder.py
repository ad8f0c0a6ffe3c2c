import signal

import numpy as np
import pytest

from medray.errors import SampleError
from medray.pixels import decode, second_decoder
from medray.pixels.decode import decode_frame
from tests.pixels.instances import JPEG2K, JPEGLS, JPEGXL, LOSSLESS, encoded_instance, stored_instance

ARRAY = np.random.default_rng(0).integers(0, 4096, (31, 17)).astype(np.uint16)


def refuse(*_: object, **__: object) -> np.ndarray:
    """A first decoder that reads nothing."""
    raise RuntimeError


@pytest.mark.parametrize(("syntax", "plugin"), [(LOSSLESS, "gdcm"), (JPEGLS, "pyjpegls"), (JPEG2K, "pylibjpeg")])
def test_the_second_decoder_reads_what_the_first_refuses(monkeypatch, syntax: str, plugin: str) -> None:
    monkeypatch.setattr(decode, "decode_first", refuse)
    decoded = decode_frame(stored_instance(ARRAY, syntax), 0)
    assert np.array_equal(decoded.stored, ARRAY)
    assert (decoded.decoder, decoded.flags) == (f"pydicom.{plugin}", ("second_decoder",))


def test_without_a_second_decoder_the_refusal_stands(monkeypatch) -> None:
    monkeypatch.setattr(decode, "decode_first", refuse)
    with pytest.raises(SampleError, match=r"decode_failed: imagecodecs\.jpegxl cannot read the frame"):
        decode_frame(stored_instance(ARRAY, JPEGXL), 0)


def test_a_frame_that_nobody_reads_names_all_who_tried() -> None:
    whole = bytes(stored_instance(ARRAY, JPEGLS).encoded_frames[0] or b"")
    broken = whole[:60] + whole[-2:]
    header = {"bits_allocated": 16, "bits_stored": 16, "high_bit": 15}
    with pytest.raises(SampleError, match=r"decode_failed: imagecodecs\.jpegls and pyjpegls, gdcm cannot"):
        decode_frame(encoded_instance(broken, ARRAY.shape, JPEGLS, **header), 0)


def test_a_decoder_that_takes_too_long_ends_itself_and_costs_one_frame(monkeypatch) -> None:
    monkeypatch.setattr(decode, "decode_first", refuse)
    instance = stored_instance(ARRAY, JPEG2K)
    second_decoder.end_second_decoder()
    process = second_decoder._running()  # a new one, which has yet to import its plugins
    with monkeypatch.context() as patch:
        patch.setattr(second_decoder, "TIME_LIMIT_S", 0.001)
        with pytest.raises(SampleError, match="decoder_timeout: imagecodecs.jpeg2k refused the frame, one of"):
            decode_frame(instance, 0)
    assert process.returncode == -signal.SIGALRM
    assert np.array_equal(decode_frame(instance, 0).stored, ARRAY)


def test_a_decoder_that_dies_costs_one_frame(monkeypatch) -> None:
    monkeypatch.setattr(decode, "decode_first", refuse)
    instance = stored_instance(ARRAY, JPEG2K)
    process = second_decoder._running()  # asked again after its death, it would start another to wait for
    process.kill()
    process.wait()
    assert decode_frame(instance, 0).decoder == "pydicom.pylibjpeg"
    with monkeypatch.context() as patch:
        patch.setattr(second_decoder, "_send", lambda *_: second_decoder._running().kill())
        with pytest.raises(SampleError, match="decoder_crashed: imagecodecs.jpeg2k refused the frame"):
            decode_frame(instance, 0)
    assert np.array_equal(decode_frame(instance, 0).stored, ARRAY)
