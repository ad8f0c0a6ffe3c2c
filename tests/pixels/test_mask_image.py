"""medray/pixels/mask_image.py: values as they are stored, classes as they are listed, and everything else refused."""

import io

import numpy as np
import pytest
from PIL import Image

from medray.errors import SampleError
from medray.pixels.mask_image import read_mask, to_classes
from tests.archive.makers import dicom_bytes, image

VALUES = np.array([[0, 255, 7], [255, 0, 0]], np.uint8)


def encoded(picture: Image.Image, format: str, **options) -> bytes:
    out = io.BytesIO()
    picture.save(out, format, **options)
    return out.getvalue()


@pytest.mark.parametrize("format", ["PNG", "TIFF", "GIF"])
def test_grey_values_are_those_stored(format: str) -> None:
    assert read_mask(encoded(Image.fromarray(VALUES), format), 0, 1, 99).tolist() == VALUES.tolist()


def test_16_bits_are_kept_and_1_bit_is_0_and_255() -> None:
    deep = VALUES.astype(np.uint16) * 200
    for format in ("PNG", "TIFF"):
        assert read_mask(encoded(Image.fromarray(deep), format), 0, 1, 99).tolist() == deep.tolist()
        found = read_mask(encoded(Image.fromarray(VALUES > 0), format), 0, 1, 99)
        assert found.tolist() == ((VALUES > 0) * 255).tolist()


def test_a_palette_of_black_and_white_is_0_and_255_and_another_its_numbers() -> None:
    picture = Image.fromarray(np.array([[0, 3, 3]], np.uint8), "P")
    for colour, expected in (((255, 255, 255), [0, 255, 255]), ((200, 0, 0), [0, 3, 3])):
        picture.putpalette([0, 0, 0, 9, 9, 9, 8, 8, 8, *colour])
        for format in ("PNG", "GIF"):
            found = read_mask(encoded(picture, format, **({"optimize": False} if format == "GIF" else {})), 0, 1, 9)
            assert found.tolist() == [expected]


def test_drive_has_two_values_in_every_mask_of_its_first_observer(medray_data) -> None:
    """Some of its GIFs have a palette of colours in which white is number 251."""
    for path in sorted((medray_data / "drive").glob("*/1st_manual/*.gif")):
        assert np.unique(read_mask(path.read_bytes(), 0, 1, 10**6)).tolist() == [0, 255]


def test_pages_go_with_frames() -> None:
    pages = [Image.fromarray(VALUES + number) for number in (0, 1)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert read_mask(data, 1, 2, 99).tolist() == (VALUES + 1).tolist()
    with pytest.raises(SampleError, match="mask_size: 2 pages for 1 frames"):
        read_mask(data, 0, 1, 99)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"nothing", "mask_unreadable: a mask is a PNG, TIFF or GIF"),
        (dicom_bytes(image()), "mask_unreadable: .*DICOM .SEG too. is not read"),
        (encoded(Image.new("RGB", (3, 2)), "PNG"), "mask_unreadable: 3 channels; a mask has one"),
        (encoded(Image.fromarray(VALUES), "PNG")[:40], "mask_unreadable"),
        (encoded(Image.new("L", (10, 10)), "PNG"), "mask_unreadable: 100 pixels, the limit is 99"),
    ],
    ids=["nothing", "dicom", "colour", "cut", "large"],
)
def test_what_is_no_mask_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(SampleError, match=said):
        read_mask(data, 0, 1, 99)


def test_classes_are_places_in_the_list_and_outside_the_region_anything_goes() -> None:
    stored = VALUES.astype(np.int64)
    assert to_classes(stored, (0, 7, 255), None).tolist() == [[0, 2, 1], [2, 0, 0]]
    assert to_classes(stored, (255, 0, 7), None).tolist() == [[1, 0, 2], [0, 1, 1]]
    with pytest.raises(SampleError, match="mask_value: 1 pixels of values that are not listed: 7"):
        to_classes(stored, (0, 255), None)
    region = stored != 7
    assert to_classes(stored, (0, 255), region).tolist() == [[0, 1, -1], [1, 0, 0]]
