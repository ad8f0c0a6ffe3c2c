"""DICOM SEG objects made from frames."""

from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from tests.archive.makers import dicom_dataset, saved
from tests.pixels.series import ORIENTATION

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"


def item(**values: Any) -> Dataset:
    """A data set of these elements."""
    dataset = Dataset()
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


def segmentation_bytes(
    frames: np.ndarray,
    *,
    segments: list[int],
    z: list[float],
    corner: tuple[float, float] = (0, 0),
    spacing: list[float] | None = None,
    whole: int | None = None,
) -> bytes:
    """A SEG of `frames` (frames, rows, columns) at the heights `z`: binary, or of fractions of `whole`.

    The first pixel is at (row, column) `corner` of the grid of tests/pixels/series.py.
    """
    x, y = -10.0 + corner[1], 20.0 + 2.0 * corner[0]
    groups = [
        item(
            PlanePositionSequence=Sequence([item(ImagePositionPatient=[x, y, height])]),
            SegmentIdentificationSequence=Sequence([item(ReferencedSegmentNumber=number)]),
        )
        for number, height in zip(segments, z, strict=True)
    ]
    shared = item(
        PlaneOrientationSequence=Sequence([item(ImageOrientationPatient=ORIENTATION)]),
        PixelMeasuresSequence=Sequence([item(PixelSpacing=spacing or [2.0, 1.0], SliceThickness=2.5)]),
    )
    dataset = dicom_dataset(SOPClassUID=SEGMENTATION, Modality="SEG", SegmentationType="BINARY")
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = *frames.shape[1:], len(frames)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 1, 1, 0, 0
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.SharedFunctionalGroupsSequence, dataset.PerFrameFunctionalGroupsSequence = (
        Sequence([shared]),
        Sequence(groups),
    )
    packed = np.packbits(frames.ravel(), bitorder="little").tobytes()
    if whole is not None:
        dataset.SegmentationType, dataset.MaximumFractionalValue = "FRACTIONAL", whole
        dataset.SegmentationFractionalType = "PROBABILITY"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        packed = frames.astype(np.uint8).tobytes()
    dataset.PixelData = packed + b"\0" * (len(packed) % 2)
    dataset["PixelData"].VR = "OB"
    return saved(dataset)
