from typing import Any

import numpy as np
import pytest

from medray.pixels.geometry import GeometryStatus
from medray.pixels.series import split_objects
from medray.pixels.volume import Volume, build_volumes
from tests.pixels.series import ORIENTATION, STEP_MM, heights, slice_bytes, slice_pixels

FIVE = [0.0, 100.0, 200.0, 300.0, 400.0]


def five(**tags: Any) -> list[bytes]:
    return [slice_bytes(index, **tags) for index in range(5)]


def only(objects: list[bytes]) -> Volume:
    (volume,) = build_volumes(objects).volumes
    return volume


def repeated(tag: str, values: list[Any], count: int = 5) -> list[bytes]:
    """`count` places, each with a slice for every value of the tag: the n-th value's pixels are 1,000 x n higher."""
    return [
        slice_bytes(index, slice_pixels(index + 10 * n), **{tag: value, "SOPInstanceUID": f"1.2.3.{n}.{index}"})
        for n, value in enumerate(values)
        for index in range(count)
    ]


@pytest.mark.parametrize("seed", range(5))
def test_slices_are_ordered_by_position_whatever_their_numbers_and_arrival(seed: int) -> None:
    random = np.random.default_rng(seed)
    objects = [slice_bytes(index, InstanceNumber=int(number)) for index, number in enumerate(random.permutation(5))]
    volume = only([objects[index] for index in random.permutation(5)])
    assert heights(volume.values) == FIVE
    assert (volume.geometry_status, volume.spacing_mm) == (GeometryStatus.REGULAR, (2.5, 2.0, 1.0))
    assert volume.notes == ()


def test_instance_numbers_may_be_absent_or_all_equal() -> None:
    for number in (None, 1):
        assert heights(only(five(InstanceNumber=number)[::-1]).values) == FIVE


def test_slices_rise_along_the_normal_also_where_it_points_down() -> None:
    volume = only(five(ImageOrientationPatient=[1.0, 0.0, 0.0, 0.0, -1.0, 0.0]))
    assert heights(volume.values) == FIVE[::-1]
    assert volume.affine[:3, 2].tolist() == [0.0, 0.0, -STEP_MM]


def test_localisers_are_split_off() -> None:
    scouts = [
        slice_bytes(
            n, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], SOPInstanceUID=f"1.9.{n}", ImageOrientationPatient=o
        )
        for n, o in enumerate((ORIENTATION, [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]))
    ]
    volumes = build_volumes(scouts + five()).volumes
    assert sorted((volume.localiser, len(volume.values)) for volume in volumes) == [(False, 5), (True, 1), (True, 1)]


def test_orientations_sizes_spacings_and_series_are_not_mixed() -> None:
    other: list[dict[str, Any]] = [
        {"ImageOrientationPatient": [0.0, 1.0, 0.0, 0.0, 0.0, -1.0]},
        {"PixelSpacing": [2.0, 1.1]},
        {"SeriesInstanceUID": "1.2.3.99"},
    ]
    for number, tags in enumerate(other):
        more = slice_bytes(5, SOPInstanceUID=f"1.8.{number}", **tags)
        assert sorted(len(volume.values) for volume in build_volumes([*five(), more]).volumes) == [1, 5]
    larger = slice_bytes(5, slice_pixels(5, (4, 4)))
    assert sorted(len(volume.values) for volume in build_volumes([*five(), larger]).volumes) == [1, 5]


@pytest.mark.parametrize(
    ("tag", "values", "name"),
    [
        ("EchoTime", [4.6, 2.3], "echo_time_ms"),
        ("TemporalPositionIdentifier", [2, 1, 3], "temporal_position"),
        ("DiffusionBValue", [1000.0, 0.0], "b_value"),
        ("AcquisitionNumber", [2, 1], "acquisition_number"),
        ("InversionTime", [900.0, 300.0], "inversion_time_ms"),
        ("FlipAngle", [15.0, 5.0], "flip_angle_degrees"),
        ("KVP", [140.0, 80.0], "kvp"),
        ("FrameReferenceTime", [5000.0, 1000.0, 3000.0], "frame_reference_time_ms"),
        ("TriggerTime", [30.0, 0.0, 60.0], "trigger_time_ms"),
        ("ImageType", [["ORIGINAL", "PRIMARY", "P"], ["ORIGINAL", "PRIMARY", "M"]], "image_type"),
    ],
)
def test_what_the_header_marks_makes_one_volume_each_in_the_order_of_the_mark(
    tag: str, values: list[Any], name: str
) -> None:
    volumes = build_volumes(repeated(tag, values)).volumes
    assert [volume.phase[0][0] for volume in volumes] == [name] * len(values)
    ranks = np.argsort(np.argsort([str(value) if isinstance(value, list) else value for value in values]))
    for n, rank in enumerate(ranks):
        assert heights(volumes[rank].values) == [value + 1000 * n for value in FIVE]
        assert volumes[rank].geometry_status is GeometryStatus.REGULAR


def test_two_echoes_of_three_time_points_are_six_volumes() -> None:
    objects = [
        slice_bytes(
            i,
            slice_pixels(i + 10 * e + 20 * t),
            EchoTime=e,
            TemporalPositionIdentifier=t,
            SOPInstanceUID=f"1.{e}.{t}.{i}",
        )
        for e in (1, 2)
        for t in (1, 2, 3)
        for i in range(5)
    ]
    volumes = build_volumes(objects).volumes
    assert [volume.phase for volume in volumes] == [
        (("echo_time_ms", float(e)), ("temporal_position", t)) for e in (1, 2) for t in (1, 2, 3)
    ]
    assert [heights(volume.values)[0] for volume in volumes] == [
        1000.0 * e + 2000 * t for e in (1, 2) for t in (1, 2, 3)
    ]


def test_an_acquisition_number_for_each_slice_splits_nothing() -> None:
    assert len(only([slice_bytes(index, AcquisitionNumber=index) for index in range(5)]).values) == 5


def test_time_points_without_a_mark_go_by_instance_number_and_say_so() -> None:
    objects = [
        slice_bytes(i, slice_pixels(i + 10 * t), InstanceNumber=1 + 5 * t + i, SOPInstanceUID=f"1.{t}.{i}")
        for t in range(3)
        for i in range(5)
    ]
    volumes = build_volumes(objects[::-1]).volumes
    assert [heights(volume.values) for volume in volumes] == [[v + 1000 * t for v in FIVE] for t in range(3)]
    assert {volume.notes for volume in volumes} == {("time_points_by_instance_number",)}


def test_a_trigger_time_of_each_slice_leaves_the_phases_to_the_instance_numbers() -> None:
    objects = [
        slice_bytes(
            i,
            slice_pixels(i + 10 * t),
            InstanceNumber=1 + 3 * i + t,
            TriggerTime=30 * t + i,
            SOPInstanceUID=f"1.{t}.{i}",
        )
        for t in range(3)
        for i in range(5)
    ]
    volumes = build_volumes(objects).volumes
    assert [heights(volume.values) for volume in volumes] == [[v + 1000 * t for v in FIVE] for t in range(3)]


def test_a_time_of_each_slice_does_not_take_a_conflict_apart_into_single_slices() -> None:
    objects = [slice_bytes(i, ContentTime=f"10000{i}") for i in range(5)]
    objects.append(slice_bytes(2, slice_pixels(7), ContentTime="100009", SOPInstanceUID="1.6.1"))
    found = [(len(volume.values), str(volume.geometry_status)) for volume in build_volumes(objects).volumes]
    assert found == [(5, "conflicting"), (1, "conflicting")]


def test_phases_that_cover_different_places_are_told_by_their_mark() -> None:
    first = [slice_bytes(i, AcquisitionNumber=1) for i in range(5)]
    second = [slice_bytes(i, AcquisitionNumber=2, SOPInstanceUID=f"1.7.{i}") for i in range(3, 12)]
    volumes = build_volumes(first + second).volumes
    assert [(len(volume.values), str(volume.geometry_status)) for volume in volumes] == [(5, "regular"), (9, "regular")]


def test_the_same_object_twice_is_one_slice_and_counted() -> None:
    series = build_volumes([*five(), slice_bytes(2)])
    (volume,) = series.volumes
    assert (heights(volume.values), volume.geometry_status, series.copies) == (FIVE, GeometryStatus.REGULAR, 1)


def test_the_same_pixels_at_one_place_under_another_uid_are_one_slice() -> None:
    volume = only([*five(), slice_bytes(2, SOPInstanceUID="1.6.1")])
    assert (heights(volume.values), volume.notes) == (FIVE, ("duplicates_dropped:1",))


def test_different_pixels_at_one_place_that_nothing_tells_apart_are_a_conflict_without_affine() -> None:
    objects = [*five(), slice_bytes(2, slice_pixels(7), SOPInstanceUID="1.6.1")]
    for order in (objects, objects[::-1]):
        volumes = build_volumes(order).volumes
        assert sorted(len(volume.values) for volume in volumes) == [1, 5]
        assert {str(volume.geometry_status) for volume in volumes} == {"conflicting"}
        assert [volume.affine for volume in volumes] == [None, None]


def test_two_instance_numbers_of_which_one_is_missing_tell_nothing() -> None:
    objects = [
        *five(),
        *(slice_bytes(i, slice_pixels(i + 10), InstanceNumber=None, SOPInstanceUID=f"1.6.{i}") for i in range(5)),
    ]
    assert {str(volume.geometry_status) for volume in build_volumes(objects).volumes} == {"conflicting"}


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_arrival_changes_nothing_of_a_mixed_series(seed: int) -> None:
    echoes = repeated("EchoTime", [4.6, 2.3])
    objects = [
        *echoes[:2],
        *echoes[3:],
        *five(SeriesInstanceUID="1.2.3.7"),
        slice_bytes(9, ImageType=["A", "B", "LOCALIZER"]),
    ]
    objects += [
        slice_bytes(2, slice_pixels(7), SeriesInstanceUID="1.2.3.7", SOPInstanceUID="1.6.1"),
        echoes[0],
        b"no image",
    ]
    shuffled = [objects[index] for index in np.random.default_rng(seed).permutation(len(objects))]
    series, again = build_volumes(objects), build_volumes(shuffled)
    assert (series.without_geometry, series.copies, series.refused) == (
        again.without_geometry,
        again.copies,
        again.refused,
    )
    for volume, other in zip(series.volumes, again.volumes, strict=True):
        assert repr(volume) == repr(other)
        np.testing.assert_array_equal(volume.values, other.values)
    found = sorted(str(volume.geometry_status) for volume in series.volumes)
    assert found == ["conflicting", "conflicting", "gap", "regular", "single_slice"]


def test_broken_objects_end_in_a_volume_a_count_or_a_reason() -> None:
    random, whole = np.random.default_rng(0), slice_bytes(1)
    for _ in range(400):
        broken = bytearray(whole)
        for place in random.integers(0, len(whole), 6):
            broken[place] = random.integers(0, 256)
        split = split_objects([bytes(broken[: random.integers(len(whole) // 2, len(whole) + 1)])])
        assert sum(len(stack.slices) for stack in split.stacks) + split.without_geometry + len(split.refused) >= 1


def test_slices_without_geometry_are_counted_and_never_guessed() -> None:
    split = split_objects([*five(), slice_bytes(5, ImagePositionPatient=None), slice_bytes(6, PixelSpacing=None)])
    assert (len(split.stacks), split.without_geometry) == (1, 2)


@pytest.mark.parametrize("axes", [[0.0] * 6, [1.0, 0.0, 0.0, 1.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0, 2.0, 0.0]])
def test_axes_that_span_no_plane_are_no_geometry(axes: list[float]) -> None:
    split = split_objects(five(ImageOrientationPatient=axes))
    assert (split.stacks, split.without_geometry) == ((), 5)


def test_an_object_that_is_no_image_costs_a_reason_and_no_volume() -> None:
    split = split_objects([b"no image", *five()])
    assert (len(split.stacks[0].slices), split.refused) == (5, ("corrupt_header",))
