"""Files on which DICOM readers go wrong, each with the values that it holds by a closed form or a published reference.

The numbers are those of the standard (PS3.3, PS3.5), of NEMA's WG04 originals, and of the NIfTI files beside dcm_qa_ts;
nothing here is computed by a reader that is compared.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from tests.archive.makers import dicom_dataset, saved

ROWS, COLUMNS, SLICES, STEP_MM = 32, 40, 6, 2.5
ROW_MM, COLUMN_MM = 2.0, 1.0
ORIGIN = (-10.0, 20.0, 5.0)
AXES = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
Change = Callable[[FileDataset, int], None]


@dataclass(frozen=True)
class Grid:
    """A volume as it should come out.

    Attributes:
        values: (slices, rows, columns).
        affine: (column, row, slice, 1) to RAS in mm.
    """

    values: np.ndarray = field(repr=False)
    affine: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Case:
    """Files with one fault, and what is right.

    Attributes:
        what: the fault, in words.
        item: where reference/dicom.md has it.
        kind: `image` (the first file is read, whoever reads series gets all of them), `voi` (one file, after its VOI
            LUT), `frames` (one file of several frames) or `volume` (all files).
        files: DICOM objects of one series, in the order of their names.
        values: (slices or frames, rows, columns[, samples]) in modality values; None where no image is right.
        grids: the volumes that the series holds; none where it lies on no grid.
        tolerance: of a value, for lossy codecs.
        lost: frames that nobody can have; the others can.
        spaced: the header says how far pixels are apart; where it does not, a distance that comes out is invented.
    """

    what: str
    item: str
    kind: Literal["image", "voi", "frames", "volume"]
    files: tuple[bytes, ...] = field(repr=False)
    values: np.ndarray | None = field(default=None, repr=False)
    grids: tuple[Grid, ...] = field(default=(), repr=False)
    tolerance: float = 0.0
    lost: tuple[int, ...] = ()
    spaced: bool = True


def stored(index: int = 0, top: int = 3000) -> np.ndarray:
    """(32, 40) uint16 without symmetry, other numbers on each slice."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    wave = 0.5 + 0.3 * np.sin(y / 5 + index) * np.cos(x / 7) + 0.15 * (x > 12) * (y < 9)
    values: np.ndarray = (wave * top).astype(np.uint16)
    return values


def stack(count: int = SLICES) -> np.ndarray:
    """(slices, rows, columns), float64."""
    return np.stack([stored(index) for index in range(count)]).astype(np.float64)


def slice_dataset(
    index: int, pixels: np.ndarray | None = None, syntax: str = ExplicitVRLittleEndian, **tags: Any
) -> FileDataset:
    """An axial slice, 2.5 mm above the one before; rows are 2 mm and columns 1 mm apart. A tag of None is left out."""
    header: dict[str, Any] = {
        "SOPInstanceUID": f"1.2.3.4.{index + 1}",
        "PatientPosition": "HFS",
        "ImagePositionPatient": [ORIGIN[0], ORIGIN[1], ORIGIN[2] + STEP_MM * index],
        "ImageOrientationPatient": AXES,
        "PixelSpacing": [ROW_MM, COLUMN_MM],
        "SliceThickness": STEP_MM,
        "InstanceNumber": index + 1,
        "FrameOfReferenceUID": "1.2.3.9",
        "RescaleSlope": 1,
        "RescaleIntercept": 0,
    }
    pixels = stored(index) if pixels is None else pixels
    given = {name: value for name, value in (header | tags).items() if value is not None}
    dataset = dicom_dataset(pixels, syntax, **given)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def set_class(dataset: FileDataset, sop_class_uid: str) -> None:
    """Another kind of object, in the data set and in the meta group."""
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = UID(sop_class_uid)


def series(change: Change | None = None, count: int = SLICES) -> tuple[bytes, ...]:
    """Slices as objects, each changed."""
    datasets = [slice_dataset(index) for index in range(count)]
    for index, dataset in enumerate(datasets):
        if change:
            change(dataset, index)
    return tuple(saved(dataset) for dataset in datasets)


def grid(values: np.ndarray, step: tuple[float, float, float] = (0.0, 0.0, STEP_MM), first: int = 0) -> Grid:
    """Slices from the `first` on, `step` apart (LPS)."""
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (COLUMN_MM, 0, 0), (0, ROW_MM, 0), step
    affine[:3, 3] = np.array(ORIGIN) + first * np.array(step)
    return Grid(values, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)


def changed(**tags: Any) -> Change:
    """These tags on every slice; None takes one away."""

    def change(dataset: FileDataset, _: int) -> None:
        for name, value in tags.items():
            if value is None:
                delattr(dataset, name)
            else:
                setattr(dataset, name, value)

    return change


def _image(what: str, item: str, change: Change, values: np.ndarray | None) -> Case:
    """A fault of every slice of a series, so that readers of series can be asked too."""
    return Case(what, item, "image", series(change), values, () if values is None else (grid(values),))


def value_cases() -> list[Case]:
    """What the numbers in a header make of stored values."""
    x = stack()
    return [
        _image("nothing (control)", "–", lambda *_: None, x),
        _image("Rescale Slope without Intercept", "2: 1", changed(RescaleSlope=2, RescaleIntercept=None), 2 * x),
        _image("empty Rescale Slope and Intercept", "2: 2", changed(RescaleSlope="", RescaleIntercept=""), x),
        _image("Rescale Slope 0", "2: 3", changed(RescaleSlope=0), None),
        _image("Modality LUT of 12 bits", "2: 4", _modality_lut, 4095 - x),
        _image("MONOCHROME1", "2: 8", changed(PhotometricInterpretation="MONOCHROME1"), x),
        _image("overlay in the unused high bits", "2: 12", _overlay_bits, x),
        _image("High Bit above Bits Stored - 1", "2: 13", _high_bit, x),
        replace(_image("an Instance Number that is none (1A)", "2: 28", lambda *_: None, x), files=_bad_numbers()),
        _image("slope of its own on every slice (PET)", "2: 23", _own_slope, x * np.arange(1, 7)[:, None, None] / 2),
        replace(_image("no Pixel Spacing", "2: 16", changed(PixelSpacing=None), x), grids=(), spaced=False),
        _voi_case("VOI LUT of 8 bits and 4,096 entries, an entry a word", np.uint16),
        _voi_case("VOI LUT of 8 bits and 4,096 entries, two a word", np.uint8),
    ]


def _voi_case(what: str, entry: type) -> Case:
    """A table of 8 bits for more values than 8 bits count (PS3.3 C.11.2.1.1)."""
    entries = (np.arange(4096) * 37 // 16 % 256).astype(np.uint8)
    table, dataset = Dataset(), slice_dataset(0)
    table.add_new(0x00283002, "US", [4096, 0, 8])
    table.add_new(0x00283006, "OW", entries.astype(entry).tobytes())
    dataset.VOILUTSequence = Sequence([table])
    return Case(what, "2: 5", "voi", (saved(dataset),), entries[stored()][None].astype(np.float64))


def _modality_lut(dataset: FileDataset, _: int) -> None:
    table = Dataset()
    table.add_new(0x00283002, "US", [4096, 0, 12])
    table.add_new(0x00283006, "OW", np.arange(4095, -1, -1, dtype=np.uint16).tobytes())
    table.ModalityLUTType = "US"
    dataset.ModalityLUTSequence = Sequence([table])
    del dataset.RescaleSlope, dataset.RescaleIntercept


def _overlay_bits(dataset: FileDataset, index: int) -> None:
    dataset.BitsStored, dataset.HighBit = 12, 11
    dataset.PixelData = (stored(index) | np.uint16(0xA000)).tobytes()


def _high_bit(dataset: FileDataset, index: int) -> None:
    dataset.BitsStored, dataset.HighBit = 12, 15
    dataset.PixelData = (stored(index) << np.uint16(4)).tobytes()


def _bad_numbers() -> tuple[bytes, ...]:
    element = b"\x20\x00\x13\x00IS\x02\x00%d"
    return tuple(file.replace(element % n + b" ", element % n + b"A") for n, file in enumerate(series(), 1))


def _own_slope(dataset: FileDataset, index: int) -> None:
    set_class(dataset, "1.2.840.10008.5.1.4.1.1.128")
    dataset.Modality, dataset.RescaleSlope = "PT", (index + 1) / 2
