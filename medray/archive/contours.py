"""Regions of interest of an RTSTRUCT: polygons in the patient.

Source: DICOM PS3.3 C.8.8.5 (Structure Set), C.8.8.6 (ROI Contour).
"""

import io
import math
import warnings
from dataclasses import dataclass, field

import pydicom
from pydicom.dataset import Dataset

from medray.errors import Reason, SampleError

CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")


@dataclass(frozen=True)
class Region:
    """One region of interest.

    Attributes:
        number: ROI Number (3006,0022).
        name: ROI Name (3006,0026), as the user typed it: it never goes into a message.
        contours: closed planar polygons, each a sequence of (x, y, z) in mm, LPS.
        skipped: contours that enclose no area (points, open lines) or hold no numbers.
    """

    number: int
    name: str = field(repr=False)
    contours: tuple[tuple[tuple[float, float, float], ...], ...] = field(repr=False)
    skipped: int = 0


def read_regions(data: bytes) -> tuple[Region, ...]:
    """The regions of an RTSTRUCT object, by ROI Number.

    Raises:
        SampleError: `corrupt_header` where the object is no RTSTRUCT.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(io.BytesIO(data), force=True)
            names = {int(item.ROINumber): str(item.get("ROIName", "")) for item in dataset.StructureSetROISequence}
            regions = [_region(item, names) for item in dataset.ROIContourSequence]
        except Exception:  # pydicom converts on access, and a bad element raises many types that quote it
            raise SampleError(Reason.CORRUPT_HEADER, "no structure set with contours") from None
    return tuple(sorted(regions, key=lambda region: region.number))


def _region(item: Dataset, names: dict[int, str]) -> Region:
    number = int(item.ReferencedROINumber)
    contours, skipped = [], 0
    for contour in item.get("ContourSequence", []) or []:
        numbers = [float(value) for value in contour.get("ContourData", []) or []]
        points = tuple(zip(numbers[0::3], numbers[1::3], numbers[2::3], strict=False))
        whole = len(numbers) % 3 == 0 and all(map(math.isfinite, numbers))
        if contour.get("ContourGeometricType") in CLOSED and len(points) > 2 and whole:
            contours.append(points)
        else:
            skipped += 1
    return Region(number, names.get(number, ""), tuple(contours), skipped)
