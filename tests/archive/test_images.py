import io
import random

import numpy as np
import pytest
import tifffile
from PIL import Image

from medray.archive.images import image_fields
from medray.archive.sniffing import sniff
from medray.archive.sources import BytesSource
from medray.errors import SampleError


def encoded(mode: str, format: str, size=(7, 5), **options) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, format, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("mode", "samples", "bits", "photometric"),
    [
        ("L", 1, 8, "MONOCHROME2"),
        ("I;16", 1, 16, "MONOCHROME2"),
        ("1", 1, 1, "MONOCHROME2"),
        ("P", 3, 8, "RGB"),
        ("RGB", 3, 8, "RGB"),
        ("RGBA", 3, 8, "RGB"),
        ("LA", 1, 8, "MONOCHROME2"),
    ],
)
def test_a_png_header_says_what_its_pixels_are(mode, samples, bits, photometric):
    fields = image_fields(BytesSource(encoded(mode, "PNG")), "png")
    assert (fields["rows"], fields["columns"], fields["frames"]) == (5, 7, 1)
    assert (fields["samples_per_pixel"], fields["bits_stored"]) == (samples, bits)
    assert fields["photometric_interpretation"] == photometric
    assert fields["flags"] == (["alpha"] if "A" in mode else [])


@pytest.mark.parametrize(("mode", "samples"), [("L", 1), ("RGB", 3)])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_header_says_what_its_pixels_are(mode, samples, progressive):
    data = encoded(mode, "JPEG", progressive=progressive, exif=b"Exif\0\0" + bytes(9000))
    fields = image_fields(BytesSource(data), "jpeg")
    assert (fields["rows"], fields["columns"], fields["samples_per_pixel"], fields["bits_stored"]) == (5, 7, samples, 8)


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}])
def test_a_tiff_of_three_pages_has_three_frames(options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((3, 5, 7), np.uint16), photometric="minisblack", metadata=None, **options)
    fields = image_fields(BytesSource(buffer.getvalue()), "tiff")
    assert (fields["rows"], fields["columns"], fields["frames"], fields["bits_stored"]) == (5, 7, 3, 16)
    assert sniff(buffer.getvalue()[:1024]) == "tiff"


def test_a_tiff_that_is_white_at_zero_is_monochrome1():
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((5, 7), np.int16), photometric="miniswhite", metadata=None)
    fields = image_fields(BytesSource(buffer.getvalue()), "tiff")
    assert (fields["photometric_interpretation"], fields["pixel_representation"]) == ("MONOCHROME1", 1)


def test_a_png_of_two_pixels_a_millimetre_has_half_a_millimetre():
    fields = image_fields(BytesSource(encoded("L", "PNG", dpi=(50.8, 25.4))), "png")
    assert (fields["column_spacing_mm"], fields["row_spacing_mm"]) == pytest.approx((0.5, 1.0))
    assert fields["spacing_source"] == "resolution"


def test_mutated_image_files_give_fields_or_a_corrupt_header():
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((3, 5, 7), np.uint16), photometric="minisblack")
    sources = [(encoded("RGB", "PNG"), "png"), (encoded("L", "JPEG"), "jpeg"), (buffer.getvalue(), "tiff")]
    draw = random.Random(3)
    for number in range(1000):
        source, format = sources[number % 3]
        data = bytearray(source)
        for _ in range(draw.randint(1, 6)):
            data[draw.randrange(4, min(len(data), 400))] = draw.choice((0, 255, draw.randrange(256)))
        try:
            fields = image_fields(BytesSource(bytes(data[: draw.randint(8, len(data))])), format)
        except SampleError:
            continue
        assert min(fields["rows"], fields["columns"], fields["frames"]) >= 1
