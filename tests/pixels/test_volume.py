import io
import pathlib
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.sequence import Sequence

from medray.errors import GeometryError, SampleError
from medray.pixels.geometry import GeometryStatus
from medray.pixels.volume import Volume, build_volumes, regular_parts
from tests.archive.makers import dicom_bytes, saved
from tests.pixels.segmentations import item
from tests.pixels.series import ORIENTATION, heights, slice_bytes, slice_pixels

Z = 5.0


def only(objects: list[bytes]) -> Volume:
    (volume,) = build_volumes(objects).volumes
    return volume


def at(positions: list[list[float]], **tags: Any) -> Volume:
    return only([slice_bytes(index, ImagePositionPatient=place, **tags) for index, place in enumerate(positions)])


def test_the_affine_takes_column_row_slice_to_millimetres() -> None:
    volume = only([slice_bytes(index) for index in range(4)])
    assert (volume.affine @ [3, 2, 1, 1]).tolist() == [-10.0 + 3 * 1.0, 20.0 + 2 * 2.0, 5.0 + 1 * 2.5, 1.0]


def test_an_oblique_volume_has_its_positions_in_its_affine() -> None:
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    normal = np.cross(axes[:, 0], axes[:, 1])
    places = [(np.array([1.0, 2.0, 3.0]) + 1.5 * index * normal).round(6).tolist() for index in range(6)]
    volume = at(places, ImageOrientationPatient=[round(float(c), 8) for c in axes[:, :2].T.ravel()])
    assert volume.geometry_status is GeometryStatus.REGULAR
    mapped = [(volume.affine @ [0, 0, index, 1])[:3] for index in range(6)]
    np.testing.assert_allclose(mapped, places, atol=1e-5)


def test_a_missing_slice_is_a_gap_that_is_not_stretched_over() -> None:
    volume = only([slice_bytes(index) for index in (0, 1, 2, 4, 5)])
    assert (volume.geometry_status, volume.affine) == (GeometryStatus.GAP, None)
    assert (volume.spacing_mm[0], volume.notes) == (2.5, ("slices_missing:1",))
    assert heights(volume.values) == [0.0, 100.0, 200.0, 400.0, 500.0]


def test_spacing_that_differs_otherwise_is_uneven() -> None:
    volume = at([[0, 0, z] for z in (0.0, 2.5, 5.0, 8.0, 10.5)])
    assert (volume.geometry_status, volume.affine, volume.notes) == (GeometryStatus.UNEVEN, None, ())


@pytest.mark.parametrize(("off", "status"), [(0.02, "regular"), (0.03, "uneven")])
def test_one_per_cent_of_the_spacing_is_tolerated_and_no_more(off: float, status: str) -> None:
    assert at([[0, 0, z] for z in (0.0, 2.5, 5.0, 7.5 + off)]).geometry_status == status


@pytest.mark.parametrize(("off", "status"), [(0.009, "regular"), (0.012, "uneven")])
def test_a_hundredth_of_a_millimetre_is_tolerated_whatever_the_spacing(off: float, status: str) -> None:
    assert at([[0, 0, z] for z in (0.0, 0.5, 1.0, 1.5 + off)]).geometry_status == status


def test_gantry_tilt_is_seen_in_the_positions_and_kept_as_shear() -> None:
    tilt = np.deg2rad(15.0)
    axes = [1.0, 0.0, 0.0, 0.0, float(np.cos(tilt)), float(-np.sin(tilt))]
    volume = at([[0.0, 0.0, 2.5 * index] for index in range(5)], ImageOrientationPatient=axes)
    assert volume.geometry_status is GeometryStatus.TILTED
    assert volume.spacing_mm[0] == pytest.approx(2.5 * np.cos(tilt))
    np.testing.assert_allclose(volume.affine[:3, 2], [0, 0, 2.5], atol=1e-12)
    assert abs(volume.affine[:3, 1] @ volume.affine[:3, 2]) > 1


def test_slices_displaced_in_their_plane_are_shifted() -> None:
    volume = at([[0, 0, 0], [0, 0, 2.5], [3, 0, 5.0], [0, 0, 7.5]])
    assert (volume.geometry_status, volume.affine) == (GeometryStatus.SHIFTED, None)


@pytest.mark.parametrize(
    ("tags", "spacing", "note"),
    [
        ({"SliceThickness": 3.0}, 3.0, "slice_spacing_from:slice_thickness"),
        ({"SliceThickness": 3.0, "SpacingBetweenSlices": 4.0}, 4.0, "slice_spacing_from:spacing_between_slices"),
        ({}, None, "slice_spacing_unknown"),
    ],
)
def test_a_single_slice_has_the_thickness_its_header_says_or_none(
    tags: dict[str, Any], spacing: float | None, note: str
) -> None:
    volume = only([slice_bytes(0, **tags)])
    assert (volume.geometry_status, volume.spacing_mm[0], volume.notes) == (
        GeometryStatus.SINGLE_SLICE,
        spacing,
        (note,),
    )
    assert (volume.affine is None) == (spacing is None)


def test_every_slice_has_its_own_slope() -> None:
    volume = only([slice_bytes(index, RescaleSlope=index + 1) for index in range(3)])
    assert heights(volume.values) == [0.0, 200.0, 600.0]


def test_frames_are_ordered_by_position_each_with_its_own_slope_whatever_the_order_of_items() -> None:
    order, slopes = [2, 0, 3, 1], [1.0, 2.0, 3.0, 4.0]
    groups = [
        item(
            PlanePositionSequence=Sequence([item(ImagePositionPatient=[0.0, 0.0, 5.0 * index])]),
            PixelValueTransformationSequence=Sequence([item(RescaleSlope=slopes[index], RescaleIntercept=-index)]),
            FrameContentSequence=Sequence([item(DimensionIndexValues=[1, index + 1])]),
        )
        for index in order
    ]
    shared = item(
        PlaneOrientationSequence=Sequence([item(ImageOrientationPatient=ORIENTATION)]),
        PixelMeasuresSequence=Sequence([item(PixelSpacing=[2.0, 1.0])]),
    )
    data = dicom_bytes(
        np.stack([slice_pixels(index) for index in order]),
        SharedFunctionalGroupsSequence=Sequence([shared]),
        PerFrameFunctionalGroupsSequence=Sequence(groups),
    )
    volume = only([data])
    assert volume.positions_mm[:, 2].tolist() == [0.0, 5.0, 10.0, 15.0]
    assert heights(volume.values) == [100 * index * slopes[index] - index for index in range(4)]


def test_a_volume_of_pet_is_in_suv_where_asked_and_refused_where_it_cannot_be() -> None:
    pet = {"Modality": "PT", "CorrectedImage": ["ATTN", "DECY"], "Units": "CNTS", "RescaleSlope": 2}
    scaled = [with_private(slice_bytes(index, **pet), factor) for index, factor in enumerate(["0.5", "0.25"])]
    (volume,) = build_volumes(scaled, "suv_bw").volumes
    assert heights(volume.values) == [0.0, 50.0]
    assert heights(only(scaled).values) == [0.0, 200.0]
    with pytest.raises(SampleError, match="suv_missing: .*CNTS"):
        build_volumes([slice_bytes(0, **pet)], "suv_bw")


def with_private(data: bytes, factor: str) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    dataset.add_new(0x70530010, "LO", "Philips PET Private Group")
    dataset.add_new(0x70531000, "DS", factor)
    return saved(dataset)


def test_padding_of_one_slice_is_masked_in_that_slice_only() -> None:
    volume = only([slice_bytes(0), slice_bytes(1, PixelPaddingValue=100), slice_bytes(2)])
    assert np.argwhere(~volume.mask).tolist() == [[1, 0, 0]]


def test_a_slice_that_cannot_be_decoded_leaves_a_gap() -> None:
    volume = only([slice_bytes(index, RescaleSlope=0 if index == 2 else 1) for index in range(5)])
    assert heights(volume.values) == [0.0, 100.0, 300.0, 400.0]
    assert volume.geometry_status is GeometryStatus.GAP
    assert {"slices_refused:1", "slices_missing:1"} <= set(volume.notes)


def test_a_series_without_any_slice_to_decode_is_refused() -> None:
    with pytest.raises(SampleError, match="bad_rescale"):
        build_volumes([slice_bytes(index, RescaleSlope=0) for index in range(2)])


def test_colour_makes_no_volume() -> None:
    geometry: dict[str, Any] = {"ImagePositionPatient": [0, 0, 0], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
    grey = np.zeros((2, 6), np.uint8)
    colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0, "Columns": 2}
    with pytest.raises(GeometryError, match="in colour"):
        build_volumes([dicom_bytes(grey, PixelSpacing=[1, 1], **geometry, **colour)])


def test_notes_and_what_is_printed_of_a_volume_hold_no_identifier() -> None:
    volume = only([slice_bytes(index) for index in range(2)])
    assert "CANARY" not in repr(volume)
    assert "1.2.3" not in repr(volume)


@pytest.mark.filterwarnings("ignore")
def test_a_legacy_enhanced_ct_is_the_volume_of_its_single_frame_objects(medray_data: pathlib.Path) -> None:
    for name in ("24x38x3", "23x38x3"):
        folder = medray_data / "dcmqi/segmentations" / name
        single = only([path.read_bytes() for path in sorted((folder / "image").glob("*.dcm"))])
        multi = only([(folder / "multiframe/mf.dcm").read_bytes()])
        np.testing.assert_array_equal(single.values, multi.values)
        np.testing.assert_allclose(single.affine, multi.affine, atol=1e-6)


def test_values_start_at_the_lowest_position() -> None:
    assert only([slice_bytes(index) for index in (2, 0, 1)]).positions_mm[:, 2].tolist() == [Z, Z + 2.5, Z + 5]


def test_the_parts_between_gaps_are_regular_and_hold_every_slice_once() -> None:
    volume = only([slice_bytes(index, PixelPaddingValue=100) for index in (0, 1, 2, 4, 7, 8)])
    parts = regular_parts(volume)
    assert [heights(part.values) for part in parts] == [[0.0, 100.0, 200.0], [400.0], [700.0, 800.0]]
    assert [str(part.geometry_status) for part in parts] == ["regular", "single_slice", "regular"]
    for part in parts:
        assert (part.affine @ [0, 0, len(part.values) - 1, 1])[:3].tolist() == part.positions_mm[-1].tolist()
        assert (part.spacing_mm[0], part.mask.shape) == (2.5, part.values.shape)
    assert volume.geometry_status is GeometryStatus.GAP


def test_a_volume_without_gaps_is_its_only_part() -> None:
    volume = only([slice_bytes(index) for index in range(3)])
    assert regular_parts(volume) == (volume,)
