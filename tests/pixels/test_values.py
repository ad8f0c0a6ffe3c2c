import pathlib
from typing import Any

import numpy as np
import pytest

from benchmarks.volumes import read_nifti
from medray.archive.instance import Instance, LookupTable, PixelModule, SuvScale
from medray.archive.reading import read_instance
from medray.errors import SampleError
from medray.pixels.values import apply_modality_lut, apply_rescale, frame_values
from tests.pixels.instances import EXPLICIT, described, encoded_instance, stored_instance

STORED = np.array([[0, 1000], [1024, 65535]], np.uint16)


def test_rescale_of_unsigned_values_goes_below_zero() -> None:
    values = frame_values(stored_instance(STORED, rescale=((1.0, -1024.0),)), 0).values
    assert values.tolist() == [[-1024, -24], [0, 64511]]
    assert values.dtype == np.float32


def test_a_slope_alone_multiplies() -> None:
    assert frame_values(stored_instance(STORED, rescale=((2.5, 0.0),)), 0).values[1, 0] == 2560


def test_rescale_is_rounded_once() -> None:
    stored = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    slope, intercept = 0.0123456789, -404.5432101
    exact = (stored.astype(np.float64) * slope + intercept).astype(np.float32)
    assert np.abs(apply_rescale(stored, slope, intercept) - exact).max() <= np.spacing(np.float32(404))
    assert np.array_equal(apply_rescale(stored, slope, intercept), exact)


def test_every_frame_has_its_own_rescale() -> None:
    pixels = PixelModule(EXPLICIT, 1, 1, frames=2, rescale=((1.0, 0.0), (2.0, -7.0)))
    instance = Instance(pixels, (b"\x0a", b"\x0a"))
    assert [float(frame_values(instance, frame).values[0, 0]) for frame in (0, 1)] == [10.0, 13.0]


@pytest.mark.parametrize("pair", [(0.0, 5.0), (float("nan"), 0.0), (1.0, float("inf")), (1e39, 0.0), (1e-39, 0.0)])
def test_a_slope_of_zero_never_gives_a_black_image(pair: tuple[float, float]) -> None:
    with pytest.raises(SampleError, match=r"bad_rescale: Rescale Slope \(0028,1053\)"):
        frame_values(stored_instance(STORED, rescale=(pair,)), 0)


def test_rescales_that_fit_no_frame_are_refused() -> None:
    with pytest.raises(SampleError, match="bad_rescale: 2 rescales for 1 frames"):
        frame_values(stored_instance(STORED, rescale=((1.0, 0.0), (1.0, 1.0))), 0)


def test_modality_lut_clamps_at_its_ends() -> None:
    table = LookupTable(first_mapped=-2, bits=12, entries=(100, 200, 4000))
    stored = np.array([[-5, -2, -1, 0, 9]], np.int16)
    assert apply_modality_lut(stored, table).tolist() == [[100, 100, 200, 4000, 4000]]


def test_modality_lut_wins_over_rescale_and_says_so() -> None:
    table = LookupTable(0, 16, tuple(range(0, 131072, 2)))
    frame = frame_values(stored_instance(STORED, rescale=((9.0, 9.0),), modality_lut=table), 0)
    assert frame.values[1, 1] == 131070
    assert frame.flags == ("rescale_ignored_for_modality_lut",)


def test_padding_is_masked_in_stored_space() -> None:
    header: dict[str, Any] = {"padding_value": 1000, "rescale": ((1.0, -1000.0),)}
    mask = frame_values(stored_instance(STORED, **header), 0).mask
    assert mask is not None
    assert mask.tolist() == [[True, False], [True, True]]


def test_a_padding_range_is_masked_from_either_end() -> None:
    for ends in ((1000, 1024), (1024, 1000)):
        mask = frame_values(stored_instance(STORED, padding_value=ends[0], padding_range_limit=ends[1]), 0).mask
        assert mask is not None
        assert mask.tolist() == [[True, False], [False, True]]


def test_negative_padding_written_unsigned_is_understood() -> None:
    stored = np.array([[-2000, 5]], np.int16)
    mask = frame_values(stored_instance(stored, padding_value=63536), 0).mask
    assert mask is not None
    assert mask.tolist() == [[False, True]]


def test_padding_that_no_pixel_has_gives_no_mask() -> None:
    assert frame_values(stored_instance(STORED, padding_value=7), 0).mask is None


def test_float_pixels_are_not_rescaled_and_nan_is_masked() -> None:
    stored = np.array([[0.25, np.nan]], np.float32)
    header = described(stored) | {"float_bits": 32, "rescale": ((3.0, 1.0),)}
    frame = frame_values(encoded_instance(stored.tobytes(), (1, 2), EXPLICIT, **header), 0)
    assert frame.values.tolist() == [[0.25, 0.0]]
    assert frame.mask is not None
    assert frame.mask.tolist() == [[True, False]]
    assert frame.flags == ("non_finite_pixels",)


def test_padding_of_float_pixels_is_masked_beside_what_is_no_number() -> None:
    stored = np.array([[-1.5, np.nan, 0.25, -2.5, -3.5]], np.float32)
    header: dict[str, Any] = described(stored) | {"float_bits": 32, "padding_value": -1.5}
    for limit, real in ((None, [False, False, True, True, True]), (-2.5, [False, False, True, False, True])):
        frame = frame_values(
            encoded_instance(stored.tobytes(), (1, 5), EXPLICIT, **header, padding_range_limit=limit), 0
        )
        assert frame.mask is not None
        assert frame.mask.tolist() == [real]


SUV_HEADER: dict[str, Any] = {"modality": "PT", "rescale": ((2.0, 0.0),)}


def test_pet_becomes_suv_only_where_asked() -> None:
    instance = stored_instance(STORED, **SUV_HEADER, suv=SuvScale(0.25))
    assert frame_values(instance, 0).values[0, 1] == 2000
    assert frame_values(instance, 0, pet="suv_bw").values[0, 1] == 500


def test_pet_without_a_factor_fails_only_where_suv_is_asked_for() -> None:
    instance = stored_instance(STORED, **SUV_HEADER, suv=SuvScale(None, "Units (0054,1001) are not BQML"))
    assert frame_values(instance, 0).values[0, 1] == 2000
    with pytest.raises(SampleError, match=r"suv_missing: Units \(0054,1001\)"):
        frame_values(instance, 0, pet="suv_bw")


def test_suv_that_no_number_can_hold_fails() -> None:
    stored = np.array([[3e38]], np.float32)
    header: dict[str, Any] = described(stored) | {"float_bits": 32, "modality": "PT", "suv": SuvScale(100.0)}
    with pytest.raises(SampleError, match="suv_missing: values too large"):
        frame_values(encoded_instance(stored.tobytes(), (1, 1), EXPLICIT, **header), 0, pet="suv_bw")


def test_what_is_no_pet_stays_as_it_is() -> None:
    assert (
        frame_values(stored_instance(STORED, modality="CT", rescale=((2.0, 0.0),)), 0, pet="suv_bw").values[0, 1]
        == 2000
    )


@pytest.mark.filterwarnings("ignore")
def test_real_pet_in_grams_a_millilitre_is_its_reference_in_suv(medray_data: pathlib.Path) -> None:
    """Of all 402 slices of 8 patients: the NIfTI files that IBSI made of them are in SUV by body weight."""
    folders, largest = sorted((medray_data / "ibsi/dicom").glob("*/PET/image")), []
    for folder in folders:
        slices = [read_instance(path.read_bytes(), "dicom") for path in sorted(folder.glob("*.dcm"))]
        suv = np.stack([frame_values(instance, 0, pet="suv_bw").values for instance in slices])
        reference = read_nifti(medray_data / "ibsi/nifti" / folder.parts[-3] / "PET_image.nii.gz")[0]
        np.testing.assert_allclose(np.sort(suv.ravel()), np.sort(reference.ravel()), rtol=2e-7)
        largest.append(float(suv.max()))
    assert [round(value, 2) for value in largest] == [21.68, 6.5, 9.47, 16.33, 19.28, 6.38, 4.06, 6.92]


def test_colour_has_no_rescale() -> None:
    rgb = np.full((2, 2, 3), 7, np.uint8)
    assert frame_values(stored_instance(rgb, rescale=((2.0, 1.0),)), 0).values.max() == 7


def test_flags_of_header_and_decoder_come_along() -> None:
    stored = np.array([[0xF001, 5]], np.uint16)
    frame = frame_values(stored_instance(stored, bits_stored=12, high_bit=11, flags=("missing_preamble",)), 0)
    assert frame.flags == ("missing_preamble", "high_bits_masked")


def test_ct_without_rescale_is_flagged() -> None:
    assert frame_values(stored_instance(STORED, modality="CT"), 0).flags == ("ct_without_rescale",)
