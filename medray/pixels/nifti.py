"""A volume as NIfTI-1, for people who check medray with their own tools.

Written by hand: the header is 348 bytes, nibabel is no dependency of medray, and one format that is only written does
not earn one. Source: the NIfTI-1 data format (nifti1.h, 2003).
"""

import gzip
import struct
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64

from medray.errors import GeometryError
from medray.pixels.volume import Volume

HEADER_BYTES, DATA_OFFSET = 348, 352
FLOAT32, SCANNER, MILLIMETRES = 16, 1, 2
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
SHEAR_AT_MOST = 1e-4
GRID_TOLERANCE_MM = 1e-3

Matrix = Float64[np.ndarray, "4 4"]


def nifti_bytes(volume: Volume, *later: Volume) -> bytes:
    """The volume as a .nii.gz: float32, first axis columns, second rows, third slices; no text of the patient.

    Args:
        later: the other time points of a series (or its echoes, phases …), on the same grid: they become the fourth
            axis, whose step the file leaves open.

    Raises:
        GeometryError: where the volume has no affine: NIfTI cannot say where its slices are; or where the others are
            on another grid.
    """
    if volume.affine is None:
        what = (
            f"A volume whose geometry is `{volume.geometry_status}` has no affine, and NIfTI has no other place for it."
        )
        raise GeometryError(what, "Export what `regular_parts` makes of it, or resample it.")
    if not all(same_grid(volume, other) for other in later):
        raise GeometryError("Volumes on different grids make no series of time points.", "Export each alone.")
    affine = ras_affine(volume.affine)
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    header = nifti_header(volume.values, affine, sizes, times=1 + len(later))
    values = (each.values.astype("<f4", copy=False).tobytes() for each in (volume, *later))
    return gzip.compress(b"".join((header, *values)), mtime=0)


def same_grid(a: Volume, b: Volume) -> bool:
    """Whether two volumes have as many voxels at the same places, within a thousandth of a millimetre."""
    if a.affine is None or b.affine is None or a.values.shape != b.values.shape:
        return False
    return bool(np.allclose(a.affine, b.affine, rtol=0, atol=GRID_TOLERANCE_MM))


def ras_affine(affine: Matrix) -> Matrix:
    """LPS to RAS: the first two axes of the patient turn round. Source: nifti1.h, method 3."""
    turned: Matrix = LPS_TO_RAS @ affine
    return turned


def nifti_header(
    values: Float32[np.ndarray, "slices rows columns"],
    affine: Matrix,
    sizes: Float64[np.ndarray, "3"],
    *,
    times: int = 1,
) -> bytes:
    """The header and the empty extension: sform always, qform (a rotation) where the affine has no shear."""
    quaternion, side = _quaternion(affine[:3, :3] / sizes)
    header = bytearray(DATA_OFFSET)
    struct.pack_into("<i", header, 0, HEADER_BYTES)
    struct.pack_into("<8h", header, 40, 3 if times == 1 else 4, *values.shape[::-1], times, 1, 1, 1)
    struct.pack_into("<2h", header, 70, FLOAT32, 32)
    struct.pack_into("<8f", header, 76, side, *sizes, 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, DATA_OFFSET, 1.0, 0.0)
    header[123] = MILLIMETRES
    struct.pack_into("<2h", header, 252, SCANNER if quaternion else 0, SCANNER)
    struct.pack_into("<6f", header, 256, *(quaternion or (0.0, 0.0, 0.0)), *affine[:3, 3])
    struct.pack_into("<12f", header, 280, *affine[:3].ravel())
    header[344:348] = b"n+1\0"
    return bytes(header)


def _quaternion(axes: Float64[np.ndarray, "3 3"]) -> tuple[Sequence[float] | None, float]:
    """(b, c, d) of unit axes, and qfac, -1 for a left-handed set; None where they are not orthogonal.

    Source: nifti1.h, nifti_mat44_to_quatern.
    """
    side = 1.0 if np.linalg.det(axes) > 0 else -1.0
    if np.abs(axes.T @ axes - np.eye(3)).max() > SHEAR_AT_MOST:
        return None, side
    r = axes * np.array([1.0, 1.0, side])
    # the vector of the rotation belongs to the largest eigenvalue of this symmetric matrix (Bar-Itzhack 2000)
    k = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0], r[2, 1] - r[1, 2]],
            [r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], r[1, 2] + r[2, 1], r[0, 2] - r[2, 0]],
            [r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], r[0, 0] + r[1, 1] + r[2, 2]],
        ]
    )
    b, c, d, a = np.linalg.eigh(k)[1][:, -1]
    sign = -1.0 if a < 0 else 1.0
    return (float(sign * b), float(sign * c), float(sign * d)), side
