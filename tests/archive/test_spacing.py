import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from medray.archive.headers import read_header
from medray.archive.reading import read_instance
from medray.archive.rows import INDEX_TAGS
from medray.archive.spacing import pixel_spacing
from tests.archive.makers import dicom_bytes, image


def spacing(**tags):
    return pixel_spacing(read_header(dicom_bytes(image(), **tags), whole=True, wanted=INDEX_TAGS))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, (None, None)),
        ({"PixelSpacing": [0.5, 0.25]}, ((0.5, 0.25), "pixel_spacing")),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, ((0.2, 0.1), "imager_pixel_spacing")),
        (
            {"ImagerPixelSpacing": [0.2, 0.1], "EstimatedRadiographicMagnificationFactor": "2"},
            ((0.1, 0.05), "imager_pixel_spacing"),
        ),
        ({"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.2, 0.2]}, ((0.2, 0.2), "imager_pixel_spacing")),
        ({"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.15, 0.15]}, ((0.15, 0.15), "pixel_spacing")),
        (
            {"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.2, 0.2], "PixelSpacingCalibrationType": "GEOMETRY"},
            ((0.2, 0.2), "pixel_spacing"),
        ),
        ({"NominalScannedPixelSpacing": [0.1, 0.1]}, ((0.1, 0.1), "nominal_scanned")),
    ],
)
def test_the_spacing_of_ps3_3_10_7_1_3(tags, expected):
    assert spacing(**tags) == expected


@pytest.mark.parametrize("bad", [[0, 0], [-1, 1], [1], ["1e300", "1e-300"]])
def test_a_spacing_that_cannot_be_is_none_and_flagged(bad):
    header = read_header(dicom_bytes(image(), PixelSpacing=bad), whole=True, wanted=INDEX_TAGS)
    assert pixel_spacing(header) == (None, None)
    assert header.flags


def region(across: float, down: float, units: int = 3) -> Dataset:
    item = Dataset()
    item.RegionSpatialFormat, item.PhysicalUnitsXDirection, item.PhysicalUnitsYDirection = 1, units, units
    item.PhysicalDeltaX, item.PhysicalDeltaY = across, down
    return item


def test_an_aspect_ratio_beyond_an_integer_string_is_none():
    data = dicom_bytes(image()).replace(b"\x28\0\0\1US", b"\x28\0\x34\0IS\x0c\0" + rb"1e300\1e299 " + b"\x28\0\0\1US")
    pixels = read_instance(data, "dicom").pixels
    assert pixels.pixel_aspect_ratio is None and pixels.rows == 4


def test_a_magnification_that_cannot_be_gives_no_spacing():
    tags = {"ImagerPixelSpacing": [0.2, 0.1], "EstimatedRadiographicMagnificationFactor": "1e-320"}
    assert spacing(**tags) == (None, None)


def test_an_ultrasound_region_in_centimetres_gives_millimetres():
    regions = Sequence([region(0.05, 0.02), region(9.0, 9.0, units=4)])
    assert spacing(SequenceOfUltrasoundRegions=regions) == (pytest.approx((0.2, 0.5)), "ultrasound_region")


def test_ultrasound_regions_that_differ_give_no_spacing():
    assert spacing(SequenceOfUltrasoundRegions=Sequence([region(0.05, 0.02), region(0.1, 0.1)])) == (None, None)


def test_shared_functional_groups_give_the_spacing():
    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing = [0.7, 0.6]
    shared.PixelMeasuresSequence = Sequence([measures])
    assert spacing(SharedFunctionalGroupsSequence=Sequence([shared])) == ((0.7, 0.6), "functional_groups")
