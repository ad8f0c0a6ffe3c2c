"""Volumes and masks of real series against the NIfTI files that others made of them."""

import pathlib
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import volumes as benchmark
from medray.archive.contours import read_regions
from medray.pixels.masks import region_mask
from medray.pixels.nifti import nifti_bytes
from medray.pixels.volume import Volume, build_volumes


def ct(data: pathlib.Path) -> Volume:
    return build_volumes(benchmark.objects(data / "ibsi/dicom/STS_025/CT/image")).volumes[0]


def test_24_image_series_equal_their_references_and_24_masks_have_dice_1(medray_data: pathlib.Path) -> None:
    results = benchmark.ibsi(medray_data)
    assert {name: result for name, result in results.items() if not result["equal"]} == {}
    assert [result["dice"] for result in results.values()] == [1.0] * 24
    exact = [result["relative_error"] for name, result in results.items() if not name.endswith("PET")]
    assert exact == [0.0] * 16
    assert {(*result["status"], result["outside"]) for result in results.values()} == {("regular", 0)}


def test_8_series_equal_the_references_at_every_time_point(medray_data: pathlib.Path) -> None:
    results = benchmark.nih(medray_data)
    assert {name: result for name, result in results.items() if not result["equal"]} == {}
    assert sorted(result["time_points"] for result in results.values()) == [2] * 4 + [10] * 4


def test_a_mosaic_in_seven_transfer_syntaxes_equals_the_reference_nine_times(medray_data: pathlib.Path) -> None:
    assert [result["equal"] for result in benchmark.ts(medray_data).values()] == [True] * 9


def test_the_comparison_sees_one_value_and_a_thousandth_of_a_millimetre(medray_data: pathlib.Path) -> None:
    volume, reference = ct(medray_data), medray_data / "ibsi/nifti/STS_025/CT_image.nii.gz"
    values, affine = volume.values.copy(), volume.affine.copy()
    values[3, 2, 1] += 1
    affine[2, 2] += 0.0011
    assert benchmark.compare((volume,), reference, flipped=False)["equal"]
    for wrong in (replace(volume, values=values), replace(volume, affine=affine), replace(volume, affine=None)):
        assert not benchmark.compare((wrong,), reference, flipped=False)["equal"]
    assert not benchmark.compare((replace(volume, values=volume.values[::-1]),), reference, flipped=False)["equal"]


def test_a_mask_moved_by_one_column_has_no_dice_of_1(medray_data: pathlib.Path) -> None:
    folder = medray_data / "ibsi/dicom/STS_025/CT"
    (region,) = read_regions((folder / "mask/RS.dcm").read_bytes())
    mask = region_mask(region, ct(medray_data)).mask
    assert benchmark.dice(mask, mask) == 1.0
    assert benchmark.dice(mask, np.roll(mask, 1, axis=2)) < 0.99


def test_the_export_equals_the_reference_in_values_and_affine(
    medray_data: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "ct.nii.gz").write_bytes(nifti_bytes(ct(medray_data)))
    values, affine = benchmark.read_nifti(tmp_path / "ct.nii.gz")
    expected, expected_affine = benchmark.read_nifti(medray_data / "ibsi/nifti/STS_025/CT_image.nii.gz")
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_allclose(affine, expected_affine, atol=1e-4)


@pytest.mark.parametrize("lost", [1, 20, 45])
def test_a_real_series_that_lacks_a_slice_is_a_gap(medray_data: pathlib.Path, lost: int) -> None:
    volume = ct(medray_data)
    above = volume.positions_mm[lost][2]
    objects = benchmark.objects(medray_data / "ibsi/dicom/STS_025/CT/image")
    kept = [data for data in objects if abs(build_volumes([data]).volumes[0].positions_mm[0][2] - above) > 0.1]
    (less,) = build_volumes(kept).volumes
    assert (len(less.values), str(less.geometry_status), less.affine) == (len(volume.values) - 1, "gap", None)
    assert "slices_missing:1" in less.notes
