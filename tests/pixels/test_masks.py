import pathlib

import numpy as np
import pydicom
import pytest
from matplotlib.path import Path as Outline

from medray.archive.contours import Region
from medray.errors import GeometryError
from medray.pixels.masks import polygon_mask, region_mask, segment_masks
from medray.pixels.volume import Volume, build_volumes
from tests.archive.makers import dicom_bytes
from tests.pixels.segmentations import segmentation_bytes
from tests.pixels.series import slice_bytes

BIG = (20, 30)


def volume(indices: tuple[int, ...] = (0, 1, 2, 3), **tags: object) -> Volume:
    """20 rows 2 mm apart, 30 columns 1 mm apart, slices at 5 + 2.5 x index; the first pixel at (-10, 20)."""
    objects = [slice_bytes(index, np.full(BIG, index, np.uint16), **tags) for index in indices]
    return build_volumes(objects).volumes[0]


def square(column: float, row: float, side: float, z: float) -> tuple[tuple[float, float, float], ...]:
    """A square of `side` pixels whose corner is at (column, row) of the volume's grid."""
    corners = ((0, 0), (side, 0), (side, side), (0, side))
    return tuple((-10 + column + right, 20 + 2 * (row + down), z) for right, down in corners)


def region(*contours: tuple[tuple[float, float, float], ...]) -> Region:
    return Region(1, "", contours)


@pytest.mark.parametrize("seed", range(10))
def test_a_polygon_has_the_pixels_whose_centres_matplotlib_finds_inside(seed: int) -> None:
    random = np.random.default_rng(seed)
    angles = np.sort(random.uniform(0, 2 * np.pi, 12))
    radii = random.uniform(2, 16, 12)
    vertices = np.stack([12 + radii * np.cos(angles), 9 + radii * np.sin(angles)], axis=1)
    row, column = np.mgrid[:20, :25]
    expected = Outline(np.vstack([vertices, vertices[:1]])).contains_points(np.stack([column.ravel(), row.ravel()], 1))
    ours = polygon_mask(vertices, 20, 25)
    assert ours.sum() > 20
    np.testing.assert_array_equal(ours, expected.reshape(20, 25))


def test_neighbouring_polygons_share_no_pixel_and_leave_none_out() -> None:
    left = np.array([[0.0, 0.0], [5.0, 0.0], [5.0, 6.0], [0.0, 6.0]])
    right = left + np.array([5.0, 0.0])
    masks = [polygon_mask(vertices, 8, 12).astype(int) for vertices in (left, right)]
    assert [int(mask.sum()) for mask in masks] == [30, 30]
    assert int((masks[0] + masks[1]).max()) == 1


def test_a_polygon_partly_outside_is_cut_at_the_edge() -> None:
    vertices = np.array([[-5.5, -5.5], [2.5, -5.5], [2.5, 1.5], [-5.5, 1.5]])
    assert np.argwhere(polygon_mask(vertices, 4, 4)).tolist() == [[r, c] for r in (0, 1) for c in (0, 1, 2)]


def test_a_contour_fills_its_square_on_its_slice() -> None:
    placed = region_mask(region(square(3.5, 4.5, 4, 10.0)), volume())
    expected = np.zeros((4, *BIG), bool)
    expected[2, 5:9, 4:8] = True
    np.testing.assert_array_equal(placed.mask, expected)
    assert (placed.outside, placed.moved) == (0, 0)


def test_a_contour_within_another_is_a_hole() -> None:
    placed = region_mask(region(square(3.5, 4.5, 6, 10.0), square(5.5, 6.5, 2, 10.0)), volume())
    assert int(placed.mask.sum()) == 36 - 4


@pytest.mark.parametrize("axes", [[0.0, 1.0, 0.0, 0.0, 0.0, -1.0], [0.8, 0.6, 0.0, -0.36, 0.48, -0.8]])
def test_contours_follow_the_affine_of_an_oblique_and_tilted_volume(axes: list[float]) -> None:
    step = 2.5 * np.cross(axes[:3], axes[3:]) + np.array([0.3, 0.1, 0.2])
    pixels = np.zeros(BIG, np.uint16)
    places = [(np.array([-10.0, 20.0, 5.0]) + index * step).round(6).tolist() for index in range(4)]
    objects = [
        slice_bytes(n, pixels, ImagePositionPatient=place, ImageOrientationPatient=axes)
        for n, place in enumerate(places)
    ]
    (made,) = build_volumes(objects).volumes
    assert made.geometry_status == "tilted"
    corners = [[3.5, 4.5, 2, 1], [7.5, 4.5, 2, 1], [7.5, 8.5, 2, 1], [3.5, 8.5, 2, 1]]
    contour = tuple(tuple(float(x) for x in (made.affine @ corner)[:3]) for corner in corners)
    expected = np.zeros((4, *BIG), bool)
    expected[2, 5:9, 4:8] = True
    np.testing.assert_array_equal(region_mask(region(contour), made).mask, expected)


def test_a_contour_stays_on_its_slice_beside_a_gap() -> None:
    placed = region_mask(region(square(3.5, 4.5, 4, 12.5)), volume((0, 1, 3)))
    assert {int(index) for index in np.argwhere(placed.mask)[:, 0]} == {2}


def test_a_contour_beyond_the_volume_is_counted_and_left_out() -> None:
    placed = region_mask(region(square(3.5, 4.5, 4, 40.0)), volume())
    assert (int(placed.mask.sum()), placed.outside) == (0, 1)


def test_contours_of_thinner_slices_do_not_pile_up_on_one() -> None:
    heights = (9.0, 9.9, 10.8)
    placed = region_mask(region(*(square(3.5, 4.5, 4, z) for z in heights)), volume())
    assert (int(placed.mask.sum()), placed.outside, placed.moved) == (16, 2, 1)


def test_a_contour_across_the_slices_is_refused() -> None:
    across = tuple((x, y, 5 + x) for x, y, _ in square(3.5, 4.5, 4, 0.0))
    with pytest.raises(GeometryError, match="does not lie in a plane"):
        region_mask(region(across), volume())


def test_segments_are_placed_by_position_whatever_the_order_of_frames() -> None:
    frames = np.zeros((3, *BIG), np.uint8)
    frames[0, 2:4, 5:9], frames[1, 10, 3], frames[2, 0, 0] = 1, 1, 1
    data = segmentation_bytes(frames, segments=[1, 2, 1], z=[10.0, 5.0, 12.5])
    masks = segment_masks(data, volume())
    assert list(masks) == [1, 2]
    assert np.argwhere(masks[2].mask).tolist() == [[0, 10, 3]]
    assert sorted({int(index) for index in np.argwhere(masks[1].mask)[:, 0]}) == [2, 3]
    assert int(masks[1].mask[2].sum()) == 8


def test_two_frames_of_one_segment_on_one_slice_are_joined() -> None:
    frames = np.zeros((2, *BIG), np.uint8)
    frames[0, 2, 5], frames[1, 10, 3] = 1, 1
    mask = segment_masks(segmentation_bytes(frames, segments=[1, 1], z=[10.0, 10.0]), volume())[1].mask
    assert np.argwhere(mask).tolist() == [[2, 2, 5], [2, 10, 3]]


def test_a_smaller_segmentation_lands_where_its_first_pixel_is() -> None:
    frames = np.ones((1, 3, 5), np.uint8)
    mask = segment_masks(segmentation_bytes(frames, segments=[1], z=[7.5], corner=(4, 6)), volume())[1].mask
    assert np.argwhere(mask).tolist() == [[1, r, c] for r in range(4, 7) for c in range(6, 11)]


def test_what_of_a_segmentation_lies_outside_is_counted() -> None:
    frames = np.ones((2, 3, 5), np.uint8)
    placed = segment_masks(segmentation_bytes(frames, segments=[1, 1], z=[7.5, 99.0], corner=(18, -2)), volume())[1]
    assert np.argwhere(placed.mask).tolist() == [[1, r, c] for r in (18, 19) for c in (0, 1, 2)]
    assert (placed.clipped, placed.outside) == (1, 1)


@pytest.mark.parametrize("corner", [(0.5, 0.0), (0.0, 0.25)])
def test_a_segmentation_between_the_pixels_is_refused(corner: tuple[float, float]) -> None:
    data = segmentation_bytes(np.ones((1, 3, 5), np.uint8), segments=[1], z=[7.5], corner=corner)
    with pytest.raises(GeometryError, match="between the volume's"):
        segment_masks(data, volume())


def test_a_segmentation_of_other_spacing_is_refused() -> None:
    data = segmentation_bytes(np.ones((1, 3, 5), np.uint8), segments=[1], z=[7.5], spacing=[1.0, 1.0])
    with pytest.raises(GeometryError, match="axes are not the volume's"):
        segment_masks(data, volume())


def test_a_fractional_segment_is_its_stored_values_over_the_largest_one() -> None:
    frames = np.arange(60, dtype=np.uint8).reshape(1, 6, 10) * 4
    data = segmentation_bytes(frames, segments=[1], z=[7.5], corner=(4, 2), whole=240)
    mask = segment_masks(data, volume())[1].mask
    assert mask.dtype == np.float32 and mask.shape == volume().values.shape
    np.testing.assert_array_equal(mask[1, 4:10, 2:12], frames[0].astype(np.float32) / 240)
    assert np.count_nonzero(mask) == 59


@pytest.mark.parametrize("whole", [0, 100])
def test_fractions_of_more_than_the_whole_are_refused(whole: int) -> None:
    frames = np.full((1, 3, 5), 101, np.uint8)
    with pytest.raises(GeometryError, match=rf"Maximum Fractional Value \(0062,000E\) is {whole}, .* up to 101"):
        segment_masks(segmentation_bytes(frames, segments=[1], z=[7.5], whole=whole), volume())


def test_an_image_is_no_segmentation() -> None:
    with pytest.raises(GeometryError, match=r"\(0062,0001\)"):
        segment_masks(dicom_bytes(np.ones((4, 4), np.uint16)), volume())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("segmentation", "series"),
    [
        ("liver.dcm", "ct-3slice"),
        ("partial_overlaps.dcm", "ct-3slice"),
        ("23x38x3/seg/label.seg", "23x38x3/image"),
        ("24x38x3/seg/label.seg", "24x38x3/image"),
    ],
)
def test_real_segments_equal_what_pydicom_reads_frame_by_frame(
    medray_data: pathlib.Path, segmentation: str, series: str
) -> None:
    folder = medray_data / "dcmqi/segmentations"
    (ct,) = build_volumes([path.read_bytes() for path in (folder / series).glob("*.dcm")]).volumes
    dataset = pydicom.dcmread(folder / segmentation)
    masks = segment_masks((folder / segmentation).read_bytes(), ct)
    expected = {number: np.zeros(ct.values.shape, bool) for number in masks}
    for frame, group in zip(dataset.pixel_array, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        z = float(group.PlanePositionSequence[0].ImagePositionPatient[2])
        number = group.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        expected[number][int(np.argmin(np.abs(ct.positions_mm[:, 2] - z)))] |= frame != 0
    assert sum(int(placed.mask.sum()) for placed in masks.values()) == int(dataset.pixel_array.sum()) > 0
    for number, placed in masks.items():
        np.testing.assert_array_equal(placed.mask, expected[number])
