import pathlib

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from medray.archive.contours import read_regions
from medray.errors import SampleError
from tests.archive.makers import dicom_bytes, dicom_dataset, image, saved

TRIANGLE = [0.0, 0.0, 5.0, 4.0, 0.0, 5.0, 0.0, 3.0, 5.0]


def structure_set(*contours: tuple[str, list[float]], name: str = "CANARY region") -> bytes:
    """An RTSTRUCT of two regions, the second with these contours (type, data)."""
    names, drawn = [], []
    for number in (7, 3):
        entry, roi = Dataset(), Dataset()
        entry.ROINumber, entry.ROIName, roi.ReferencedROINumber = number, name, number
        roi.ContourSequence = Sequence()
        for kind, data in contours if number == 3 else ():
            contour = Dataset()
            contour.ContourGeometricType, contour.ContourData = kind, data
            contour.NumberOfContourPoints = len(data) // 3
            roi.ContourSequence.append(contour)
        names.append(entry)
        drawn.append(roi)
    dataset = dicom_dataset(SOPClassUID="1.2.840.10008.5.1.4.1.1.481.3", Modality="RTSTRUCT")
    dataset.StructureSetROISequence, dataset.ROIContourSequence = Sequence(names), Sequence(drawn)
    return saved(dataset)


def test_regions_come_by_number_with_their_polygons() -> None:
    regions = read_regions(structure_set(("CLOSED_PLANAR", TRIANGLE)))
    assert [(region.number, len(region.contours)) for region in regions] == [(3, 1), (7, 0)]
    assert regions[0].contours[0] == ((0.0, 0.0, 5.0), (4.0, 0.0, 5.0), (0.0, 3.0, 5.0))


def test_points_and_open_lines_enclose_nothing_and_are_counted() -> None:
    drawn = [
        ("CLOSED_PLANAR", TRIANGLE),
        ("POINT", [1.0, 2.0, 3.0]),
        ("OPEN_PLANAR", TRIANGLE),
        ("CLOSED_PLANAR", TRIANGLE[:6]),
    ]
    region = read_regions(structure_set(*drawn))[0]
    assert (len(region.contours), region.skipped) == (1, 3)


def test_a_region_never_prints_its_name() -> None:
    assert "CANARY" not in repr(read_regions(structure_set(("CLOSED_PLANAR", TRIANGLE))))


@pytest.mark.parametrize("data", [b"", b"no DICOM", dicom_bytes(image())])
def test_what_is_no_structure_set_is_refused(data: bytes) -> None:
    with pytest.raises(SampleError, match="corrupt_header: no structure set") as caught:
        read_regions(data)
    assert "CANARY" not in str(caught.value)


def test_real_regions_have_one_polygon_a_slice(medray_data: pathlib.Path) -> None:
    (region,) = read_regions((medray_data / "ibsi/dicom/STS_002/CT/mask/RS.dcm").read_bytes())
    heights = [np.ptp([z for _, _, z in contour]) for contour in region.contours]
    assert (len(heights), max(heights), region.skipped) == (16, 0.0, 0)
