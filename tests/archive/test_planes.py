import struct

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from medray.archive.planes import read_planes
from medray.errors import SampleError
from tests.archive.makers import dicom_bytes, dicom_dataset, image, saved

AXES = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def csa(**elements: list[str]) -> bytes:
    """A CSA header of the second version with these elements."""
    raw = b"SV10\4\3\2\1" + struct.pack("<II", len(elements), 77)
    for name, texts in elements.items():
        raw += struct.pack("<64si4siii", name.encode(), len(texts), b"FD", 4, len(texts), 77)
        for text in texts:
            value = text.encode() + b"\0"
            raw += struct.pack("<4i", len(value), len(value), 77, len(value)) + value + b"\0" * (-len(value) % 4)
    return raw


def mosaic_bytes(tiles: int = 3, image_header: bytes | None = None, **tags: object) -> bytes:
    """Tiles of 2 rows and 3 columns in a square of 2 x 2; spacing 2 mm (rows), 1 mm (columns), 4 mm (slices)."""
    header: dict[str, object] = {
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "MOSAIC"],
        "ImagePositionPatient": [0.0, 0.0, 0.0],
        "ImageOrientationPatient": AXES,
        "PixelSpacing": [2.0, 1.0],
        "SpacingBetweenSlices": 4.0,
    }
    dataset = dicom_dataset(image(4, 6), **(header | tags))
    dataset.add_new(0x00190010, "LO", "SIEMENS MR HEADER")
    dataset.add_new(0x0019100A, "US", tiles)
    dataset.add_new(0x00290010, "LO", "SIEMENS CSA HEADER")
    if image_header is not None:
        dataset.add_new(0x00291010, "OB", image_header)
    return saved(dataset)


def test_a_mosaic_has_one_plane_a_tile_around_the_centre_of_the_whole() -> None:
    planes = read_planes(mosaic_bytes(image_header=csa(SliceNormalVector=["0.0", "0.0", "1.0"])))
    assert [plane.corner for plane in planes] == [(0, 0), (0, 3), (2, 0)]
    assert [plane.position_mm for plane in planes] == [(1.5, 2.0, 0.0), (1.5, 2.0, 4.0), (1.5, 2.0, 8.0)]
    assert {(plane.rows, plane.columns, plane.flags) for plane in planes} == {(2, 3, ())}


def test_the_normal_in_the_csa_header_says_on_which_side_the_next_tile_lies() -> None:
    planes = read_planes(mosaic_bytes(image_header=csa(Other=["a"], SliceNormalVector=["0", "0", "-1.0"])))
    assert [plane.position_mm[2] for plane in planes] == [0.0, -4.0, -8.0]


@pytest.mark.parametrize(
    "header",
    [None, b"SV10", b"no csa", csa(SliceNormalVector=["x", "0", "1"]), csa(SliceNormalVector=["inf", "0", "1"])],
)
def test_a_normal_that_is_not_told_is_assumed_and_flagged(header: bytes | None) -> None:
    planes = read_planes(mosaic_bytes(image_header=header))
    assert [plane.position_mm[2] for plane in planes] == [0.0, 4.0, 8.0]
    assert all("mosaic_normal_assumed" in plane.flags for plane in planes)


@pytest.mark.parametrize(
    "tags", [{"SpacingBetweenSlices": None}, {"SpacingBetweenSlices": 0.0}, {"PixelSpacing": None}, {"tiles": 30}]
)
def test_a_mosaic_that_cannot_be_split_has_no_position(tags: dict[str, object]) -> None:
    (plane,) = read_planes(mosaic_bytes(**tags))
    assert (plane.position_mm, plane.flags[-1]) == (None, "mosaic_not_split")


def test_frames_of_functional_groups_have_their_own_place_and_marks() -> None:
    dataset = dicom_dataset(np.zeros((2, 4, 6), np.uint16), ImageType=["ORIGINAL", "PRIMARY"])
    groups = []
    for frame in range(2):
        place, content, echo = Dataset(), Dataset(), Dataset()
        place.ImagePositionPatient, content.TemporalPositionIndex = [0.0, 0.0, 5.0 * frame], frame + 7
        echo.EffectiveEchoTime = 2.5 + frame
        group = Dataset()
        group.PlanePositionSequence, group.FrameContentSequence = Sequence([place]), Sequence([content])
        group.MREchoSequence = Sequence([echo])
        groups.append(group)
    axes, measures, shared = Dataset(), Dataset(), Dataset()
    axes.ImageOrientationPatient, measures.PixelSpacing, measures.SliceThickness = AXES, [2.0, 1.0], 5.0
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = Sequence([axes]), Sequence([measures])
    dataset.SharedFunctionalGroupsSequence = Sequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = Sequence(groups)
    planes = read_planes(saved(dataset))
    assert [plane.position_mm for plane in planes] == [(0.0, 0.0, 0.0), (0.0, 0.0, 5.0)]
    assert {(plane.orientation, plane.spacing_mm, plane.thickness_mm) for plane in planes} == {
        (tuple(AXES), (2.0, 1.0), 5.0)
    }
    assert [(p.marks["temporal_position"], p.marks["echo_time_ms"]) for p in planes] == [(7, 2.5), (8, 3.5)]


def test_frames_that_share_one_position_have_none() -> None:
    data = dicom_bytes(np.zeros((3, 4, 6), np.uint16), ImagePositionPatient=[0, 0, 0], ImageOrientationPatient=AXES)
    assert [(plane.frame, plane.position_mm) for plane in read_planes(data)] == [(0, None), (1, None), (2, None)]


def test_bytes_without_a_data_set_are_refused() -> None:
    with pytest.raises(SampleError, match="corrupt_header"):
        read_planes(b"nothing of the kind")
