import gzip
import struct
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.volumes import read_nifti
from medray.errors import GeometryError
from medray.pixels.nifti import nifti_bytes
from medray.pixels.volume import Volume, build_volumes
from tests.pixels.series import slice_bytes

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def volume(**tags: object) -> Volume:
    return build_volumes([slice_bytes(index, **tags) for index in range(4)]).volumes[0]


def header(made: Volume) -> bytes:
    return gzip.decompress(nifti_bytes(made))


def rotation(b: float, c: float, d: float) -> np.ndarray:
    """The rotation of a unit quaternion (a, b, c, d), written out by Rodrigues' formula."""
    vector, a = np.array([b, c, d]), np.sqrt(max(0.0, 1 - b * b - c * c - d * d))
    cross = np.array([[0, -d, c], [d, 0, -b], [-c, b, 0]])
    return np.eye(3) + 2 * a * cross + 2 * cross @ cross + 0 * vector[0]


def test_the_file_holds_the_values_columns_first(tmp_path) -> None:
    made = volume()
    (tmp_path / "volume.nii.gz").write_bytes(nifti_bytes(made))
    values, affine = read_nifti(tmp_path / "volume.nii.gz")
    np.testing.assert_array_equal(values[0], made.values)
    np.testing.assert_allclose(affine, LPS_TO_RAS @ made.affine, atol=1e-6)
    assert struct.unpack_from("<8h", header(made), 40) == (3, 4, 3, 4, 1, 1, 1, 1)


def test_time_points_on_one_grid_become_the_fourth_axis(tmp_path) -> None:
    first, second = volume(), volume(RescaleIntercept=7)
    (tmp_path / "volume.nii.gz").write_bytes(nifti_bytes(first, second))
    values, affine = read_nifti(tmp_path / "volume.nii.gz")
    np.testing.assert_array_equal(values, np.stack([first.values, first.values + 7]))
    np.testing.assert_allclose(affine, LPS_TO_RAS @ first.affine, atol=1e-6)
    with pytest.raises(GeometryError, match="different grids"):
        nifti_bytes(first, volume(PixelSpacing=[2.0, 1.5]))


def test_the_header_is_348_bytes_of_nifti_1_in_millimetres() -> None:
    raw = header(volume())
    assert (struct.unpack_from("<i", raw)[0], raw[344:348], raw[123]) == (348, b"n+1\0", 2)
    assert len(raw) == 352 + 4 * 4 * 3 * 4


@pytest.mark.parametrize("seed", range(20))
def test_the_quaternion_and_the_matrix_say_the_same(seed: int) -> None:
    random = np.random.default_rng(seed)
    axes = np.linalg.qr(random.normal(size=(3, 3)))[0]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes * [0.7, 1.3, 3.1], random.normal(size=3)
    raw = header(replace(volume(), affine=affine))
    side, *sizes = struct.unpack_from("<4f", raw, 76)
    b, c, d, *offset = struct.unpack_from("<6f", raw, 256)
    ours = rotation(b, c, d) * np.array([sizes[0], sizes[1], sizes[2] * side])
    np.testing.assert_allclose(ours, (LPS_TO_RAS @ affine)[:3, :3], atol=1e-5)
    np.testing.assert_allclose(offset, (LPS_TO_RAS @ affine)[:3, 3], atol=1e-6)


def test_a_tilted_volume_has_its_shear_in_the_matrix_and_no_quaternion() -> None:
    made = volume(ImageOrientationPatient=[1.0, 0.0, 0.0, 0.0, 0.9659258, -0.2588190])
    raw = header(made)
    assert made.geometry_status == "tilted"
    assert struct.unpack_from("<2h", raw, 252) == (0, 1)
    np.testing.assert_allclose(
        np.array(struct.unpack_from("<12f", raw, 280)).reshape(3, 4)[:, 2], [0, 0, 2.5], atol=1e-6
    )


def test_a_volume_with_a_gap_is_not_exported() -> None:
    made = build_volumes([slice_bytes(index) for index in (0, 1, 3)]).volumes[0]
    with pytest.raises(GeometryError, match="geometry is `gap` has no affine"):
        nifti_bytes(made)


def test_the_file_names_no_patient_and_is_the_same_every_time() -> None:
    assert b"CANARY" not in header(volume())
    assert nifti_bytes(volume()) == nifti_bytes(volume())
