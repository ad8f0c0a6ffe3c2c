"""Series that are no plain stack of slices, with the volumes that they hold."""

from pathlib import Path

import numpy as np
from pydicom.dataset import FileDataset
from pydicom.uid import UID

from benchmarks.faults import (
    ORIGIN,
    SLICES,
    STEP_MM,
    Case,
    Change,
    Grid,
    grid,
    series,
    set_class,
    slice_dataset,
    stack,
    stored,
)
from benchmarks.volumes import read_nifti
from tests.archive.makers import saved

TILT_MM = 0.66
ECHOES_MS = (5.0, 50.0)


def series_cases(data: Path | None) -> list[Case]:
    """All files of a folder. `data` is the folder of real images; None leaves the mosaic out."""
    x = stack()
    shuffled = _numbers((4, 1, 6, 2, 5, 3))
    doubled = (*series(), series()[2])
    return [
        _volume("nothing (control)", "–", series(), grid(x)),
        _volume("Instance Numbers in another order than positions", "2: 18", series(shuffled), grid(x)),
        _volume("no Instance Numbers", "2: 18", series(_without_number), grid(x)),
        _volume("a slice is missing", "2: 19", _without(3)),
        _volume("slices unevenly spaced", "2: 19", series(_uneven)),
        _volume("a slice is there twice", "2: 20", doubled, grid(x)),
        _volume("two echoes at the same places", "2: 20", *_echoes()),
        _volume("gantry tilt", "2: 21", series(_tilted), grid(x, (0.0, TILT_MM, STEP_MM))),
        _volume("positions that jitter by 0.002 mm", "2: 22", series(_jitter), grid(x)),
        *([_mosaic(data / "dcm_qa_ts")] if data else []),
    ]


def _volume(what: str, item: str, files: tuple[bytes, ...], *grids: Grid) -> Case:
    return Case(what, item, "volume", files, grids=grids)


def _numbers(numbers: tuple[int, ...]) -> Change:
    def change(dataset: FileDataset, index: int) -> None:
        dataset.InstanceNumber = numbers[index]

    return change


def _without_number(dataset: FileDataset, _: int) -> None:
    del dataset.InstanceNumber


def _without(index: int) -> tuple[bytes, ...]:
    files = series()
    return files[:index] + files[index + 1 :]


def _uneven(dataset: FileDataset, index: int) -> None:
    dataset.ImagePositionPatient = [ORIGIN[0], ORIGIN[1], ORIGIN[2] + STEP_MM * index + 0.3 * index**2]


def _tilted(dataset: FileDataset, index: int) -> None:
    dataset.ImagePositionPatient = [ORIGIN[0], ORIGIN[1] + TILT_MM * index, ORIGIN[2] + STEP_MM * index]
    dataset.GantryDetectorTilt = float(np.degrees(np.arctan(TILT_MM / STEP_MM)))


def _jitter(dataset: FileDataset, index: int) -> None:
    wobble = 0.002 * (-1) ** index if 0 < index < SLICES - 1 else 0.0
    dataset.ImagePositionPatient = [ORIGIN[0], ORIGIN[1], round(ORIGIN[2] + STEP_MM * index + wobble, 4)]


def _echoes() -> tuple[tuple[bytes, ...], Grid, Grid]:
    """An MR series whose files alternate between two echoes."""
    first, second = stack(), stack() + 500
    files = []
    for index in range(SLICES):
        for echo, time_ms in enumerate(ECHOES_MS):
            pixels = stored(index) + np.uint16(500 * echo)
            dataset = slice_dataset(index, pixels, Modality="MR", EchoTime=time_ms, EchoNumbers=echo + 1)
            set_class(dataset, "1.2.840.10008.5.1.4.1.1.4")
            uid = UID(f"1.2.3.5.{2 * index + echo + 1}")
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid
            dataset.InstanceNumber = 2 * index + echo + 1
            files.append(saved(dataset))
    return tuple(files), grid(first), grid(second)


def _mosaic(folder: Path) -> Case:
    """A Siemens mosaic and the NIfTI file that dcm2niix made of it (rows upside down there; the affine says so)."""
    values, affine = read_nifti(folder / "Ref" / "1.nii")
    return _volume("Siemens mosaic", "2: 35", ((folder / "In" / "1.dcm").read_bytes(),), Grid(values[0], affine))
