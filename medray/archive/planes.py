"""Where each frame of an object lies in the patient, and what tells it from others at the same place.

Source: DICOM PS3.3 C.7.6.2 (Image Plane), C.7.6.16.2 (Plane Position, Plane Orientation, Pixel Measures, Frame Content
macros), C.8.20.2 and C.8.20.3.1 (Segmentation).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from medray.archive import spacing
from medray.archive.headers import Header, RefusedError, read_header
from medray.archive.mosaic import MOSAIC_TAGS, Mosaic, read_mosaic
from medray.archive.rows import (
    INDEX_TAGS,
    ORIENTATION,
    PLANE_ORIENTATION,
    POSITION,
    SERIES_UID,
    SLICE_THICKNESS,
    SOP_INSTANCE_UID,
    number_of_frames,
)
from medray.archive.values import binary, decimal, decimals, doubles, integer_text, raw_text, time_s, uid
from medray.errors import Reason, SampleError

IMAGE_TYPE, ECHO_TIME, TRIGGER_TIME, TEMPORAL_POSITION = 0x00080008, 0x00180081, 0x00181060, 0x00200100
INSTANCE_NUMBER, ACQUISITION_NUMBER, SPACING_BETWEEN_SLICES = 0x00200013, 0x00200012, 0x00180088
ACQUISITION_TIME, CONTENT_TIME, B_VALUE = 0x00080032, 0x00080033, 0x00189087
INVERSION_TIME, FLIP_ANGLE, KVP, FRAME_REFERENCE_TIME = 0x00180082, 0x00181314, 0x00180060, 0x00541300
PLANE_POSITION, FRAME_CONTENT, TEMPORAL_INDEX = 0x00209113, 0x00209111, 0x00209128
MR_ECHO, EFFECTIVE_ECHO_TIME, MR_DIFFUSION = 0x00189114, 0x00189082, 0x00189117
SEGMENT_IDENTIFICATION, SEGMENT_NUMBER, SEGMENTATION_TYPE = 0x0062000A, 0x0062000B, 0x00620001
MAXIMUM_FRACTIONAL_VALUE = 0x0062000E
PLANE_TAGS = INDEX_TAGS.union(
    (IMAGE_TYPE, ECHO_TIME, TRIGGER_TIME, TEMPORAL_POSITION, SPACING_BETWEEN_SLICES, B_VALUE, SEGMENTATION_TYPE),
    (INVERSION_TIME, FLIP_ANGLE, KVP, FRAME_REFERENCE_TIME, spacing.FRAME_GROUPS, spacing.SHARED_GROUPS),
    MOSAIC_TAGS,
    (MAXIMUM_FRACTIONAL_VALUE,),
)
Mark = int | float | str | None


@dataclass(frozen=True)
class Plane:
    """One frame, or one tile of a mosaic, as a plane in the patient. None = the header does not say.

    Attributes:
        frame: of the object, from 0.
        position_mm: centre of the first pixel (x, y, z), LPS.
        orientation: cosines along a row (to the next column), then along a column (to the next row).
        spacing_mm: (between rows, between columns).
        slice_spacing_mm: Spacing Between Slices (0018,0088).
        corner: (row, column) of the frame at which the plane's first pixel stands; not (0, 0) in a mosaic only.
        localiser: Image Type (0008,0008) says LOCALIZER.
        marks: what can tell phases, echoes and time points apart, by name.
        segment: Referenced Segment Number (0062,000B) of a segmentation's frame.
        maximum_fractional_value: (0062,000E), the stored value that means all of a pixel.
    """

    frame: int
    rows: int
    columns: int
    position_mm: tuple[float, ...] | None = None
    orientation: tuple[float, ...] | None = None
    spacing_mm: tuple[float, float] | None = None
    thickness_mm: float | None = None
    slice_spacing_mm: float | None = None
    corner: tuple[int, int] = (0, 0)
    localiser: bool = False
    marks: dict[str, Mark] = field(default_factory=dict)
    instance_number: int | None = None
    segment: int | None = None
    segmentation_type: str | None = None
    maximum_fractional_value: int | None = None
    series_instance_uid: str | None = field(default=None, repr=False)
    sop_instance_uid: str | None = field(default=None, repr=False)
    flags: tuple[str, ...] = ()


def read_planes(data: bytes) -> tuple[Plane, ...]:
    """One plane for each frame of a DICOM object, one for each tile of a Siemens mosaic.

    Raises:
        SampleError: `corrupt_header` where the object has no readable header, or no rows and columns.
    """
    try:
        header = read_header(data, whole=True, wanted=PLANE_TAGS)
    except RefusedError:
        raise SampleError(Reason.CORRUPT_HEADER, "no DICOM data set") from None
    first = _plane(header)
    groups = header.items(spacing.FRAME_GROUPS) if _has(header, spacing.FRAME_GROUPS) else []
    shared = next(iter(header.items(spacing.SHARED_GROUPS)), None) if _has(header, spacing.SHARED_GROUPS) else None
    if shared is not None:
        first = _of_group(first, shared)
    if groups:
        return tuple(replace(_of_group(first, group), frame=frame) for frame, group in enumerate(groups))
    if "MOSAIC" in _image_type(header):
        return _tiles(first, read_mosaic(header, first.orientation))
    frames = number_of_frames(header)
    if frames > 1:  # one position for all of them: no frame has one of its own
        first = replace(first, position_mm=None, flags=(*first.flags, "frames_without_position"))
    return tuple(replace(first, frame=frame) for frame in range(frames))


def _has(header: Header, tag: int) -> bool:
    return tag in header.values or tag in header.nested


def _image_type(header: Header) -> tuple[str, ...]:
    return tuple(part.strip().upper() for part in (raw_text(header, IMAGE_TYPE) or "").split("\\"))


def _plane(header: Header) -> Plane:
    """What the top level says, for all frames."""
    rows, columns = binary(header, 0x00280010), binary(header, 0x00280011)
    if not rows or not columns:
        raise SampleError(Reason.CORRUPT_HEADER, "missing: rows, columns")
    image_type, diffusion = _image_type(header), doubles(header, B_VALUE)
    marks: dict[str, Mark] = {
        "echo_time_ms": decimal(header, ECHO_TIME),
        "temporal_position": integer_text(header, TEMPORAL_POSITION),
        "b_value": diffusion[0] if diffusion else None,
        "inversion_time_ms": decimal(header, INVERSION_TIME),
        "flip_angle_degrees": decimal(header, FLIP_ANGLE),
        "kvp": decimal(header, KVP),
        "frame_reference_time_ms": decimal(header, FRAME_REFERENCE_TIME),
        "image_type": "\\".join(image_type),
        "trigger_time_ms": decimal(header, TRIGGER_TIME),
        "acquisition_number": integer_text(header, ACQUISITION_NUMBER),
        "acquisition_time_s": time_s(header, ACQUISITION_TIME),
        "content_time_s": time_s(header, CONTENT_TIME),
    }
    return Plane(
        frame=0,
        rows=rows,
        columns=columns,
        position_mm=decimals(header, POSITION, 3),
        orientation=decimals(header, ORIENTATION, 6),
        spacing_mm=spacing.pixel_spacing(header)[0],
        thickness_mm=decimal(header, SLICE_THICKNESS),
        slice_spacing_mm=decimal(header, SPACING_BETWEEN_SLICES),
        localiser="LOCALIZER" in image_type,
        marks=marks,
        instance_number=integer_text(header, INSTANCE_NUMBER),
        segmentation_type=raw_text(header, SEGMENTATION_TYPE),
        maximum_fractional_value=binary(header, MAXIMUM_FRACTIONAL_VALUE),
        series_instance_uid=uid(header, SERIES_UID),
        sop_instance_uid=uid(header, SOP_INSTANCE_UID),
        flags=tuple(header.flags),
    )


def _of_group(plane: Plane, group: Header) -> Plane:
    """The plane, with what one item of the functional groups says in place of what was known."""

    def said(macro: int, tag: int, read: Callable[..., Any], *more: int) -> Any:
        items = group.items(macro) if _has(group, macro) else []
        return next((value for item in items if (value := read(item, tag, *more)) is not None), None)

    echo, diffusion = said(MR_ECHO, EFFECTIVE_ECHO_TIME, doubles), said(MR_DIFFUSION, B_VALUE, doubles)
    found: dict[str, Mark] = {
        "echo_time_ms": echo[0] if echo else None,
        "b_value": diffusion[0] if diffusion else None,
        "temporal_position": said(FRAME_CONTENT, TEMPORAL_INDEX, binary),
    }
    measures = spacing.PIXEL_MEASURES
    return replace(
        plane,
        position_mm=said(PLANE_POSITION, POSITION, decimals, 3) or plane.position_mm,
        orientation=said(PLANE_ORIENTATION, ORIENTATION, decimals, 6) or plane.orientation,
        spacing_mm=spacing.measured(group) or plane.spacing_mm,
        thickness_mm=said(measures, SLICE_THICKNESS, decimal) or plane.thickness_mm,
        slice_spacing_mm=said(measures, SPACING_BETWEEN_SLICES, decimal) or plane.slice_spacing_mm,
        segment=said(SEGMENT_IDENTIFICATION, SEGMENT_NUMBER, binary) or plane.segment,
        marks=plane.marks | {name: value for name, value in found.items() if value is not None},
    )


def _tiles(whole: Plane, mosaic: Mosaic | None) -> tuple[Plane, ...]:
    """The mosaic's tiles, each with a position of its own; the whole image, flagged, where its layout is not known."""
    position, axes, distances, step = whole.position_mm, whole.orientation, whole.spacing_mm, whole.slice_spacing_mm
    known = mosaic is not None and not whole.rows % mosaic.side and not whole.columns % mosaic.side
    if mosaic is None or not known or position is None or axes is None or distances is None or not step:
        return (replace(whole, position_mm=None, flags=(*whole.flags, "mosaic_not_split")),)
    rows, columns = whole.rows // mosaic.side, whole.columns // mosaic.side
    right, down = (whole.columns - columns) / 2 * distances[1], (whole.rows - rows) / 2 * distances[0]
    first = [position[i] + right * axes[i] + down * axes[3 + i] for i in range(3)]
    return tuple(
        replace(
            whole,
            rows=rows,
            columns=columns,
            corner=(tile // mosaic.side * rows, tile % mosaic.side * columns),
            position_mm=tuple(first[i] + tile * abs(step) * mosaic.normal[i] for i in range(3)),
            flags=(*whole.flags, *mosaic.flags),
        )
        for tile in range(mosaic.tiles)
    )
