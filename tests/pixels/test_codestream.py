from typing import Any

import imagecodecs as codecs
import numpy as np
import pytest

from medray.errors import SampleError
from medray.pixels.codestream import Codestream, read_codestream

imagecodecs: Any = codecs
GREY = np.zeros((19, 13), np.uint16)


def test_lossless_jpeg_header_tells_size_and_precision() -> None:
    frame = imagecodecs.jpeg8_encode(GREY, lossless=True, bitspersample=12)
    assert read_codestream(frame, "jpeg") == Codestream(19, 13, 1, 12)


def test_jfif_is_ycbcr() -> None:
    header = read_codestream(imagecodecs.jpeg8_encode(np.zeros((8, 8, 3), np.uint8)), "jpeg")
    assert header is not None
    assert (header.components, header.colour) == (3, "ybr")


@pytest.mark.parametrize(("transform", "colour"), [(0, None), (1, "ybr"), (2, None)])
def test_adobes_marker_tells_ycbcr_by_its_transform(transform: int, colour: str | None) -> None:
    frame = imagecodecs.jpeg8_encode(np.zeros((8, 8, 3), np.uint8))
    jfif = frame[2 : 4 + int.from_bytes(frame[4:6], "big")]
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])
    header = read_codestream(frame.replace(jfif, adobe, 1), "jpeg")
    assert header is not None
    assert header.colour == colour


def test_components_named_r_g_b_are_rgb() -> None:
    frame = bytearray(imagecodecs.jpeg8_encode(np.zeros((8, 8, 3), np.uint8)))
    start = frame.index(b"\xff\xc0") + 10
    frame[start : start + 9 : 3] = b"RGB"
    header = read_codestream(bytes(frame), "jpeg")
    assert header is not None
    assert header.colour == "rgb"


def test_jpeg_ls_header_tells_size_and_precision() -> None:
    assert read_codestream(imagecodecs.jpegls_encode(GREY), "jpegls") == Codestream(19, 13, 1, 16)


@pytest.mark.parametrize("reversible", [True, False])
def test_jpeg_2000_header_tells_sign_and_wavelet(reversible: bool) -> None:
    signed = GREY.astype(np.int16)
    frame = imagecodecs.jpeg2k_encode(signed, level=0 if reversible else 40, codecformat="J2K", reversible=reversible)
    assert read_codestream(frame, "jpeg2k") == Codestream(19, 13, 1, 16, signed=True, reversible=reversible)


@pytest.mark.parametrize("shape", [(19, 13), (64, 64), (40, 80), (3000, 2), (9, 16), (257, 8192)])
def test_jpeg_xl_header_tells_the_size(shape: tuple[int, int]) -> None:
    header = read_codestream(imagecodecs.jpegxl_encode(np.zeros(shape, np.uint8), lossless=True), "jpegxl")
    assert header is not None
    assert (header.rows, header.columns) == shape


@pytest.mark.parametrize("kind", ["jpeg", "jpegls", "jpeg2k", "htj2k", "jpegxl"])
def test_bytes_without_a_header_are_refused(kind) -> None:
    for junk in (b"", b"\xff\xd8\xff", b"\xff\x4f\xff\x51", bytes(300)):
        with pytest.raises(SampleError, match="decode_failed"):
            read_codestream(junk, kind)
