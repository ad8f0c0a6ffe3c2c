"""One reader in a process of its own: `python -m benchmarks.peers READER FOLDER` reads the cases that stdin names.

A case is a folder of files; what was found goes to `READER.npz` in it, and one line of JSON to stdout. What a reader
prints or warns of counts as said. MEDRAY_PEERS may name a folder with the packages of the peers.
"""

import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass
class Found:
    """What a reader makes of a case.

    Attributes:
        values: images (rows, columns[, samples]), frames (frames, rows, columns[, samples]) or volumes (slices, rows,
            columns), one or several.
        affines: (column, row, slice, 1) to RAS for each volume; None where the reader gives none.
        spacing: (rows, columns) in mm of an image, where the reader gives one.
        lost: frames that the reader says it cannot give.
        said: what it reports beside the values.
    """

    values: list[np.ndarray]
    affines: list[np.ndarray | None] = field(default_factory=list)
    spacing: tuple[float, ...] | None = None
    lost: tuple[int, ...] = ()
    said: tuple[str, ...] = ()


class NotForThisError(Exception):
    """The reader has no function for such a case."""


def read_pydicom(files: list[Path], kind: str) -> Found:
    """`pixel_array`, `apply_modality_lut` and, where asked for, `apply_voi_lut`; pydicom builds no volumes."""
    from pydicom import dcmread
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    if kind == "volume":
        raise NotForThisError
    dataset = dcmread(files[0])
    stored = dataset.pixel_array
    grey = dataset.get("SamplesPerPixel", 1) == 1
    spacing = dataset.get("PixelSpacing")
    values = apply_modality_lut(stored, dataset) if grey else stored
    values = apply_voi_lut(values.astype(np.uint16), dataset) if kind == "voi" else values
    return Found([values], spacing=tuple(spacing) if spacing else None)


def read_monai(files: list[Path], kind: str) -> Found:
    """`PydicomReader`: a file, or a folder as a series; its first two axes are columns and rows."""
    from monai.data.image_reader import PydicomReader

    reader = PydicomReader()
    data, meta = reader.get_data(reader.read(str(files[0].parent if kind == "volume" else files[0])))
    affine = np.asarray(meta["affine"], np.float64)
    if kind == "volume":
        return Found([np.asarray(data).transpose(2, 1, 0)], [affine])
    column_mm, row_mm = np.linalg.norm(affine[:3, :2], axis=0)
    return Found([np.asarray(data).swapaxes(0, 1)], spacing=(row_mm, column_mm))


def read_simpleitk(files: list[Path], kind: str) -> Found:
    """`ReadImage`, or `ImageSeriesReader` with GDCM's own list of a folder's files."""
    import SimpleITK

    if kind == "volume":
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(files[0].parent)))
        image = reader.Execute()
    else:
        image = SimpleITK.ReadImage(str(files[0]))
    values = SimpleITK.GetArrayFromImage(image)
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    if kind == "image" and values.shape[0] == 1:
        values = values[0]
    return Found([values], [LPS_TO_RAS @ affine], tuple(image.GetSpacing()[1::-1]))


def read_dicom2nifti(files: list[Path], kind: str) -> Found:
    """`dicom_series_to_nifti` of a folder; one file is no series."""
    import dicom2nifti
    import nibabel

    if kind == "image" and len(files) == 1:
        raise NotForThisError
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "volume.nii.gz"
        dicom2nifti.dicom_series_to_nifti(str(files[0].parent), str(out))
        image = nibabel.load(out)
        return Found([np.asarray(image.dataobj).transpose(2, 1, 0)], [image.affine])


def read_medray(files: list[Path], kind: str) -> Found:
    """`frame_values` of each frame; `build_volumes` of all files."""
    from medray.archive.reading import read_instance
    from medray.errors import SampleError
    from medray.pixels.values import frame_values
    from medray.pixels.volume import build_volumes

    if kind == "volume":
        built = build_volumes(path.read_bytes() for path in files)
        affines = [None if volume.affine is None else LPS_TO_RAS @ volume.affine for volume in built.volumes]
        said = [str(volume.geometry_status) for volume in built.volumes if volume.affine is None]
        notes = [note for volume in built.volumes for note in volume.notes]
        return Found([volume.values for volume in built.volumes], affines, said=(*said, *notes))
    instance = read_instance(files[0].read_bytes(), "dicom")
    if kind == "voi":
        return Found([_through_voi(frame_values(instance, 0))])
    frames, lost, said = [], [], list(instance.pixels.flags)
    for frame in range(len(instance.encoded_frames)):
        try:
            frames.append(frame_values(instance, frame))
        except SampleError as error:
            if kind == "image":
                raise
            lost.append(frame)
            said.append(error.reason.value)
    flags = [flag for frame in frames for flag in frame.flags]
    values = np.stack([frame.values for frame in frames])
    spacing = instance.pixels.spacing_mm
    return Found([values if kind == "frames" else values[0]], [], spacing, tuple(lost), (*said, *flags))


def _through_voi(frame: Any) -> np.ndarray:
    """In the units of the table's entries."""
    from medray.pixels.voi import apply_voi, choose_voi

    table: Any = choose_voi(frame.voi, 0)
    return np.asarray(apply_voi(frame.values, table) * (2**table.bits - 1))


WITHOUT_VOI = ("monai", "simpleitk", "dicom2nifti")
READERS: dict[str, Callable[[list[Path], str], Found]] = {
    "medray": read_medray,
    "pydicom": read_pydicom,
    "monai": read_monai,
    "simpleitk": read_simpleitk,
    "dicom2nifti": read_dicom2nifti,
}


def _name(error: Exception) -> str:
    """Its type, with the library's name where it is the library's own."""
    library, name = type(error).__module__.partition(".")[0], type(error).__name__
    return name if library == "builtins" else f"{library}.{name}"


def answer(reader: str, folder: Path) -> dict[str, Any]:
    """Read one case; the state, the error's type, and what was said."""
    files = sorted((folder / "files").iterdir())
    kind = (folder / "kind").read_text()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if kind == "voi" and reader in WITHOUT_VOI:
                raise NotForThisError
            found = READERS[reader](files, kind)
        except NotForThisError:
            return {"state": "none"}
        except Exception as error:  # a reader may raise whatever it wants: that is its answer
            return {"state": "refuses", "error": str(getattr(error, "reason", None) or _name(error))}
    arrays: dict[str, Any] = {f"values{number}": values for number, values in enumerate(found.values)}
    arrays |= {f"affine{number}": affine for number, affine in enumerate(found.affines) if affine is not None}
    np.savez(folder / f"{reader}.npz", **arrays)
    said = [*found.said, *(str(warning.message)[:200] for warning in caught)]
    return {"state": "read", "said": said, "spacing": found.spacing, "lost": found.lost, "count": len(found.values)}


def main() -> None:
    """Answer cases until stdin ends; what libraries print to stderr is part of the answer."""
    reader, root = sys.argv[1], Path(sys.argv[2])
    sys.path.append(os.environ.get("MEDRAY_PEERS", ""))
    out = os.fdopen(os.dup(1), "w")
    with tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
        for line in sys.stdin:
            begin = os.lseek(printed.fileno(), 0, os.SEEK_END)
            found = answer(reader, root / line.strip())
            sys.stderr.flush()
            words = os.pread(printed.fileno(), 2000, begin).decode(errors="replace").strip()
            if words and "said" in found:
                found["said"].append(words)
            print(json.dumps(found, default=float), file=out, flush=True)


if __name__ == "__main__":
    main()
