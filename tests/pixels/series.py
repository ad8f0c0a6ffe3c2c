"""Series made slice by slice, as DICOM objects, for the tests of volumes."""

from typing import Any

import numpy as np

from tests.archive.makers import dicom_bytes

ORIENTATION = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
SHAPE = (3, 4)
STEP_MM = 2.5


def slice_pixels(index: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """(rows, columns) of different numbers, the first of them 100 x index."""
    return (100 * index + np.arange(shape[0] * shape[1])).reshape(shape).astype(np.uint16)


def slice_bytes(index: int, pixels: np.ndarray | None = None, **tags: Any) -> bytes:
    """Slice `index` of an axial CT: 2.5 mm apart, rows 2 mm and columns 1 mm apart; `tags` override."""
    header: dict[str, Any] = {
        "SOPInstanceUID": f"1.2.3.4.{index}",
        "ImagePositionPatient": [-10.0, 20.0, 5.0 + STEP_MM * index],
        "ImageOrientationPatient": ORIENTATION,
        "PixelSpacing": [2.0, 1.0],
        "InstanceNumber": index,
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
    }
    return dicom_bytes(slice_pixels(index) if pixels is None else pixels, **(header | tags))


def heights(volume_values: np.ndarray) -> list[float]:
    """The first value of each slice: 100 x the index it was made with."""
    return [float(values[0, 0]) for values in volume_values]
