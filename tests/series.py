"""Small archives of series: slices along a normal, a multi-frame object, objects that cannot be read."""

from pathlib import Path

import numpy as np

from tests.archive.makers import dicom_bytes

SIDE = 24


def noise(*shape: int, seed: int) -> np.ndarray:
    """Of 12 bits."""
    return np.random.default_rng(seed).integers(0, 4096, shape, np.uint16)


def write_slice(folder: Path, patient: int, study: int, series: int, number: int, pixels: np.ndarray) -> bytes:
    """One slice; series and studies number on over all patients."""
    data = dicom_bytes(
        pixels,
        PatientID=f"CANARY-{patient}",
        StudyInstanceUID=f"1.2.{study}",
        SeriesInstanceUID=f"1.2.{study}.{series}",
        SOPInstanceUID=f"1.2.{study}.{series}.{number}",
        InstanceNumber=number,
        ImagePositionPatient=[0, 0, 5 * number],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
    )
    (folder / f"{(7 * number) % 10}-{study}-{series}-{number}.dcm").write_bytes(data)  # listed in no order of slices
    return data


def write_series(folder: Path, slices: dict[tuple[int, int, int], int]) -> Path:
    """An archive with so many slices of each (patient, study, series)."""
    folder.mkdir(parents=True, exist_ok=True)
    for (patient, study, series), count in slices.items():
        for number in range(count):
            write_slice(folder, patient, study, series, number, noise(SIDE, SIDE, seed=100 * series + number))
    return folder


def write_mixed(folder: Path) -> Path:
    """Four series in three studies of two patients, one with a cut slice; a clip of nine frames, a broken file, a PNG's
    place taken by text."""
    write_series(folder, {(1, 11, 1): 5, (1, 11, 2): 3, (1, 12, 1): 4, (2, 13, 1): 1})
    cut = write_slice(folder, 1, 12, 1, 7, noise(SIDE, SIDE, seed=7))
    next(folder.glob("*-12-1-7.dcm")).write_bytes(cut[:-300])
    clip = dicom_bytes(
        noise(9, SIDE, SIDE, seed=9), PatientID="CANARY-2", StudyInstanceUID="1.2.13", SeriesInstanceUID="1.2.13.2"
    )
    (folder / "clip.dcm").write_bytes(clip)
    (folder / "broken.dcm").write_bytes(clip[:200])
    (folder / "notes.txt").write_text("nothing to see")
    return folder
