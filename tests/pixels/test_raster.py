import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from medray.archive.instance import JPEG, PNG, TIFF
from medray.archive.reading import read_instance
from medray.errors import SampleError
from medray.pixels.decode import Decoded, decode_frame
from tests.pixels.instances import encoded_instance

GREY = np.random.default_rng(0).integers(0, 256, (7, 5)).astype(np.uint8)
DEEP = np.random.default_rng(1).integers(0, 65536, (7, 5)).astype(np.uint16)
RGB = np.random.default_rng(2).integers(0, 256, (7, 5, 3)).astype(np.uint8)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes, kind: str, frame: int = 0) -> Decoded:
    return decode_frame(read_instance(data, kind), frame)


@pytest.mark.parametrize("array", [GREY, DEEP, RGB], ids=["8 bits", "16 bits", "colour"])
def test_png_and_tiff_keep_every_value(array: np.ndarray) -> None:
    tiff = io.BytesIO()
    tifffile.imwrite(tiff, array)
    for data, kind in ((bytes(imagecodecs.png_encode(array)), "png"), (tiff.getvalue(), "tiff")):
        out = decoded(data, kind)
        assert np.array_equal(out.stored, array)
        assert (out.stored.dtype, out.flags) == (array.dtype, ())


def test_a_palette_becomes_its_colours() -> None:
    indexed = Image.fromarray(RGB).convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
    assert np.array_equal(decoded(saved(indexed, "PNG"), "png").stored, np.asarray(indexed.convert("RGB")))


def test_one_bit_is_black_and_white() -> None:
    image = Image.fromarray(GREY > 128)
    assert np.array_equal(decoded(saved(image, "PNG"), "png").stored, 255 * (GREY > 128))


@pytest.mark.parametrize(("mode", "expected"), [("RGBA", RGB), ("LA", None)])
def test_alpha_is_dropped_and_flagged(mode: str, expected: np.ndarray | None) -> None:
    image = Image.fromarray(RGB if mode == "RGBA" else GREY).convert(mode)
    image.putalpha(7)
    out = decoded(saved(image, "PNG"), "png")
    assert out.flags == ("alpha_dropped",)
    assert np.array_equal(out.stored, GREY if expected is None else expected)


def test_exif_orientation_is_not_applied_and_flagged() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    out = decoded(saved(Image.fromarray(GREY), "JPEG", exif=exif, quality=100), "jpeg")
    assert (out.stored.shape, out.flags) == ((7, 5), ("exif_orientation_ignored",))
    assert decoded(saved(Image.fromarray(GREY), "JPEG"), "jpeg").flags == ()


def test_pages_of_a_tiff_are_frames() -> None:
    tiff = io.BytesIO()
    tifffile.imwrite(tiff, np.stack([DEEP, DEEP[::-1]]), photometric="minisblack")
    assert np.array_equal(decoded(tiff.getvalue(), "tiff", 1).stored, DEEP[::-1])
    with pytest.raises(SampleError, match="frame_missing: page 2 of 2"):
        decoded(tiff.getvalue(), "tiff", 2)


def test_a_tiff_of_planes_and_one_of_floats_are_read() -> None:
    planes, floats = io.BytesIO(), io.BytesIO()
    tifffile.imwrite(planes, RGB.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    tifffile.imwrite(floats, GREY / np.float32(7))
    assert np.array_equal(decoded(planes.getvalue(), "tiff").stored, RGB)
    assert np.array_equal(decoded(floats.getvalue(), "tiff").stored, GREY / np.float32(7))


def test_a_png_that_says_it_is_huge_is_refused_from_its_header() -> None:
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 16, 6, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + bytes(50)
    with pytest.raises(SampleError, match="image_too_large: 100000x100000"):
        decode_frame(encoded_instance(data, (10, 10), PNG), 0)


def test_a_cmyk_jpeg_is_refused() -> None:
    data = saved(Image.fromarray(RGB).convert("CMYK"), "JPEG")
    with pytest.raises(SampleError, match="unsupported_pixels: JPEG file with 4 components"):
        decode_frame(encoded_instance(data, (7, 5), JPEG), 0)


@pytest.mark.parametrize("kind", [PNG, JPEG, TIFF])
def test_a_broken_file_is_refused(kind: str) -> None:
    for data in (b"", b"\x89PNG\r\n\x1a\n" + bytes(40), b"II*\0\x08\0\0\0", b"\xff\xd8\xff\xe0"):
        with pytest.raises(SampleError):
            decode_frame(encoded_instance(data, (7, 5), kind), 0)


def test_a_file_of_another_size_than_indexed_is_refused() -> None:
    with pytest.raises(SampleError, match="corrupt_image: the file is 7x5, its index says 7x6"):
        decode_frame(encoded_instance(imagecodecs.png_encode(GREY), (7, 6), PNG), 0)
