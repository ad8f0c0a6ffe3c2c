"""Volumes and masks against the references in the data: `MEDRAY_DATA=… python benchmarks/volumes.py`.

`ibsi`: CT and MR equal exactly, PET to 1e-6 of each value, masks by Dice. `dcm_qa_nih`: all time points,
values and affine. `dcm_qa_ts`: one mosaic in 7 transfer syntaxes. The references have their rows upside down where
dcm2niix wrote them; the affine says so, and is compared too.
"""

import gzip
import os
import struct
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.results_writer import write_result
from medray.archive.contours import read_regions
from medray.pixels.masks import region_mask
from medray.pixels.nifti import ras_affine
from medray.pixels.volume import Volume, build_volumes

PET_TOLERANCE = 1e-6
AFFINE_TOLERANCE_MM = 1e-3
TYPES = {2: "<u1", 4: "<i2", 16: "<f4"}
TIMES = ("time_point", "acquisition_number", "temporal_position")


def read_nifti(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(time, slices, rows, columns) as stored, and the affine in RAS."""
    raw = path.read_bytes()
    raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
    shape = struct.unpack_from("<4h", raw, 42)
    kind = TYPES[struct.unpack_from("<h", raw, 70)[0]]
    values = np.frombuffer(raw, kind, int(np.prod(shape)), int(struct.unpack_from("<f", raw, 108)[0]))
    return values.reshape(shape[::-1]), _affine(raw)


def _affine(raw: bytes) -> np.ndarray:
    """From the sform, else from the qform. Source: nifti1.h, methods 3 and 2."""
    affine = np.eye(4)
    if struct.unpack_from("<h", raw, 254)[0] > 0:
        affine[:3] = np.array(struct.unpack_from("<12f", raw, 280)).reshape(3, 4)
        return affine
    side, *sizes = struct.unpack_from("<4f", raw, 76)
    b, c, d, *offset = struct.unpack_from("<6f", raw, 256)
    a = max(0.0, 1 - b * b - c * c - d * d) ** 0.5
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    affine[:3, :3] = turn * np.array([sizes[0], sizes[1], sizes[2] * (side or 1.0)])
    affine[:3, 3] = offset
    return affine


def upside_down(affine: np.ndarray, rows: int) -> np.ndarray:
    """The affine of the same volume with its rows in reverse order."""
    flip = np.eye(4)
    flip[1, 1], flip[1, 3] = -1, rows - 1
    return affine @ flip


def affine_error_mm(volume: Volume, reference: np.ndarray, flipped: bool) -> float:
    """The largest difference of an entry; infinite without an affine."""
    if volume.affine is None:
        return float("inf")
    ours = ras_affine(volume.affine)
    return float(np.abs((upside_down(ours, volume.values.shape[1]) if flipped else ours) - reference).max())


def objects(folder: Path) -> list[bytes]:
    """The DICOM objects of a folder, in an order that has nothing to do with their names."""
    return sorted((path.read_bytes() for path in folder.glob("*.dcm")), key=lambda data: sha256(data).digest())


def compare(volumes: tuple[Volume, ...], reference: Path, *, flipped: bool, relative: float = 0.0) -> dict[str, Any]:
    """Equal or not, and by how much: the largest error of a value relative to it, and of an affine's entry."""
    values, affine = read_nifti(reference)
    shape = (len(volumes), *volumes[0].values.shape)
    if shape != values.shape or len({volume.values.shape for volume in volumes}) > 1:
        return {"equal": False, "why": f"shape {shape}, reference {values.shape}"}
    ours = np.stack([volume.values for volume in volumes])
    expected = values[:, :, ::-1] if flipped else values
    size = np.where(expected == 0, 1.0, np.abs(expected.astype(np.float64)))
    error = float((np.abs(ours.astype(np.float64) - expected) / size).max())
    off = max(affine_error_mm(volume, affine, flipped) for volume in volumes)
    same = np.array_equal(ours, expected) if relative == 0 else error <= relative
    statuses = sorted({str(volume.geometry_status) for volume in volumes})
    found = {"relative_error": error, "affine_error_mm": off, "status": statuses}
    return {"equal": bool(same and off <= AFFINE_TOLERANCE_MM), **found}


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """2 |a and b| / (|a| + |b|)."""
    return float(2 * (a & b).sum() / max(1, a.sum() + b.sum()))


def ibsi(data: Path) -> dict[str, dict[str, Any]]:
    """24 series and their masks."""
    found = {}
    for folder in sorted((data / "ibsi/dicom").glob("*/*")):
        patient, kind = folder.parts[-2:]
        volumes = build_volumes(objects(folder / "image")).volumes
        nifti = data / "ibsi/nifti" / patient
        relative = PET_TOLERANCE if kind == "PET" else 0.0
        result = compare(volumes, nifti / f"{kind}_image.nii.gz", flipped=False, relative=relative)
        regions = read_regions(next((folder / "mask").glob("*.dcm")).read_bytes())
        placed = region_mask(regions[0], volumes[0])
        expected = read_nifti(nifti / f"{kind}_mask.nii.gz")[0][0] > 0
        found[f"{patient}_{kind}"] = {**result, "dice": dice(placed.mask, expected), "moved": placed.moved}
        found[f"{patient}_{kind}"] |= {"outside": placed.outside, "regions": len(regions)}
    return found


def nih(data: Path) -> dict[str, dict[str, Any]]:
    """8 series of several time points."""
    found = {}
    for folder in sorted(path for path in (data / "dcm_qa_nih/In").glob("*/*") if path.is_dir()):
        number = int(folder.name[-4:])
        prefix = "DCM2NIIX" if folder.parent.name.endswith("GE") else "EPI"
        reference = next((data / "dcm_qa_nih/Ref").glob(f"{prefix}*_{number}.nii"))
        volumes = build_volumes(objects(folder)).volumes
        found[f"{folder.parent.name}_{folder.name}"] = {
            **compare(volumes, reference, flipped=True),
            "time_points": len(volumes),
        }
    return found


def ts(data: Path) -> dict[str, dict[str, Any]]:
    """One mosaic, 9 files."""
    found = {}
    for path in sorted((data / "dcm_qa_ts/In").glob("*.dcm")):
        volumes = build_volumes([path.read_bytes()]).volumes
        found[path.stem] = compare(volumes, data / "dcm_qa_ts/Ref" / f"{path.stem}.nii", flipped=True)
    return found


def main() -> None:
    """Compare all and write the figures."""
    data = Path(os.environ["MEDRAY_DATA"])
    sets = {"ibsi": ibsi(data), "dcm_qa_nih": nih(data), "dcm_qa_ts": ts(data)}
    every = [result for results in sets.values() for result in results.values()]
    masks = [result["dice"] for result in sets["ibsi"].values()]
    figures: dict[str, Any] = {
        "series": len(every),
        "equal": sum(result["equal"] for result in every),
        "masks": len(masks),
        "masks_dice_1": sum(value == 1.0 for value in masks),
        "smallest_dice": min(masks),
    }
    for name, results in sets.items():
        figures[name] = {
            "series": len(results),
            "equal": sum(result["equal"] for result in results.values()),
            "largest_relative_error": max(result.get("relative_error", float("inf")) for result in results.values()),
            "largest_affine_error_mm": max(result.get("affine_error_mm", float("inf")) for result in results.values()),
            "not_equal": {key: result for key, result in results.items() if not result["equal"]},
        }
    write_result("volumes", figures)


if __name__ == "__main__":
    main()
