"""Contours and segmentations as masks on a volume's own grid: polygons by the even-odd rule, frames by their position.

Source: DICOM PS3.3 C.8.8.6.3 (contours of one region combine by exclusive or), C.8.20 (Segmentation).
"""

import math
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float32, Float64

from medray.archive.contours import Region
from medray.archive.planes import Plane, read_planes
from medray.archive.reading import read_instance
from medray.errors import GeometryError
from medray.pixels.decode import decode_frame
from medray.pixels.geometry import TOLERANCE_MM, slice_normal, tolerance_mm
from medray.pixels.volume import Volume

Mask = Bool[np.ndarray, "slices rows columns"]
Fractions = Float32[np.ndarray, "slices rows columns"]
Frame = Bool[np.ndarray, "rows columns"] | Float32[np.ndarray, "rows columns"]
Points = Float64[np.ndarray, "points 3"]
COSINES_TOLERANCE = 1e-3
OF_A_PIXEL = 0.01


@dataclass(frozen=True)
class PlacedMask:
    """A mask, and how it was placed.

    Attributes:
        mask: (slices, rows, columns) of the volume: true inside; of a fractional segment 0 to 1, the probability or
            the share of a pixel.
        outside: contours or frames on no slice of the volume, or less near to it than others: they are not in the mask.
        moved: contours off their slice by more than the tolerance, and by half a spacing at the most.
        clipped: frames of which a part that is not empty lies outside the volume.
    """

    mask: Mask | Fractions = field(repr=False)
    outside: int = 0
    moved: int = 0
    clipped: int = 0


def region_mask(region: Region, volume: Volume) -> PlacedMask:
    """A region of an RTSTRUCT; a pixel is inside where its centre is. Contours of one plane combine by exclusive or.

    A slice takes the contours of the plane nearest to it, and of no other: contours drawn on thinner slices do not pile
    up on one.

    Raises:
        GeometryError: where a contour does not lie in a plane of the volume's slices.
    """
    mask = np.zeros(volume.values.shape, np.bool_)
    contours = [np.array(contour, np.float64) for contour in region.contours]
    placed = [_nearest_slice(points, volume) for points in contours]
    half = (volume.spacing_mm[0] or 0.0) / 2 + TOLERANCE_MM
    closest: dict[int, float] = {}
    for index, offset in placed:
        closest[index] = min(offset, closest.get(index, math.inf), key=abs)
    outside = moved = 0
    _, rows, columns = volume.values.shape
    for points, (index, offset) in zip(contours, placed, strict=True):
        if abs(offset - closest[index]) > TOLERANCE_MM or abs(offset) > half:
            outside += 1
            continue
        moved += abs(offset) > tolerance_mm(2 * half)
        mask[index] ^= polygon_mask(_in_plane(points, volume, index), rows, columns)
    return PlacedMask(mask, outside, moved)


def polygon_mask(
    vertices: Float64[np.ndarray, "points 2"], rows: int, columns: int
) -> Bool[np.ndarray, "rows columns"]:
    """Pixels whose centres lie inside a closed polygon by the even-odd rule.

    Args:
        vertices: (column, row), the first pixel's centre at (0, 0).
    """
    x, y = vertices.T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    lines = np.arange(rows)
    edge, row = np.nonzero((y[:, None] <= lines) != (next_y[:, None] <= lines))
    share = (row - y[edge]) / (next_y[edge] - y[edge])
    crossing = x[edge] + share * (next_x[edge] - x[edge])
    crossings = np.zeros((rows, columns + 1), np.int64)
    np.add.at(crossings, (row, np.clip(np.ceil(crossing), 0, columns).astype(np.int64)), 1)
    inside: np.ndarray = np.cumsum(crossings, axis=1)[:, :columns] % 2 == 1
    return inside


def _nearest_slice(points: Points, volume: Volume) -> tuple[int, float]:
    """The slice nearest to a contour, and how far above it the contour lies, in mm along the normal."""
    normal = slice_normal(volume.orientation)
    heights = points @ normal
    slices = volume.positions_mm @ normal
    nearest = int(np.argmin(np.abs(slices - heights.mean())))
    if float(np.ptp(heights)) > tolerance_mm(volume.spacing_mm[0] or 0.0):
        raise GeometryError(
            "A contour does not lie in a plane of the volume's slices.", "Use the series it was drawn on."
        )
    return nearest, float(heights.mean() - slices[nearest])


def _in_plane(points: Points, volume: Volume, index: int) -> Float64[np.ndarray, "points 2"]:
    """(column, row) of points on a slice."""
    axes = np.array(volume.orientation, np.float64).reshape(2, 3)
    along = (points - volume.positions_mm[index]) @ axes.T
    indices: np.ndarray = along / np.array([volume.spacing_mm[2], volume.spacing_mm[1]])
    return indices


def segment_masks(data: bytes, volume: Volume) -> dict[int, PlacedMask]:
    """The segments of a DICOM SEG by segment number, each frame placed by its position.

    Source: DICOM PS3.3 C.8.20.2.3.1 (fractional: the stored value over Maximum Fractional Value).

    Raises:
        GeometryError: where it is neither binary nor fractional, or its grid is not the volume's.
        SampleError: where it cannot be read.
    """
    instance, planes = read_instance(data, "dicom"), read_planes(data)
    kinds = {plane.segmentation_type for plane in planes}
    if kinds not in ({"BINARY"}, {"FRACTIONAL"}) or any(plane.segment is None for plane in planes):
        raise GeometryError("Only segments whose Segmentation Type (0062,0001) is BINARY or FRACTIONAL become masks.")
    dtype = np.bool_ if kinds == {"BINARY"} else np.float32
    masks: dict[int, PlacedMask] = {}
    for plane in planes:
        number = plane.segment or 0
        placed = masks.get(number) or PlacedMask(np.zeros(volume.values.shape, dtype))
        frame = _share(decode_frame(instance, plane.frame).stored, plane)
        masks[number] = _placed(frame, plane, placed, volume)
    return dict(sorted(masks.items()))


def _share(stored: np.ndarray, plane: Plane) -> Frame:
    """What of each pixel is of the segment."""
    if plane.segmentation_type == "BINARY":
        return np.asarray(stored != 0)
    whole = plane.maximum_fractional_value
    if not whole or int(stored.max()) > whole:
        said = f"{whole}, and its pixels go up to {int(stored.max())}"
        raise GeometryError(f"The segmentation's Maximum Fractional Value (0062,000E) is {said}.")
    return stored.astype(np.float32) / np.float32(whole)


def _placed(frame: Frame, plane: Plane, placed: PlacedMask, volume: Volume) -> PlacedMask:
    _check_axes(plane, volume)
    origin = np.array([plane.position_mm], np.float64)
    nearest, offset = _nearest_slice(origin, volume)
    if abs(offset) > tolerance_mm(volume.spacing_mm[0] or 0.0):
        return PlacedMask(placed.mask, placed.outside + 1, placed.moved, placed.clipped)
    column, row = _in_plane(origin, volume, nearest)[0]
    if max(abs(column - round(column)), abs(row - round(row))) > OF_A_PIXEL:
        raise GeometryError("The segmentation's pixels lie between the volume's.", "Use the series it was made on.")
    window = _window(frame.shape, (round(row), round(column)), volume.values.shape[1:])
    inside, target = frame[window[0]], placed.mask[nearest][window[1]]
    np.maximum(target, inside, out=target)
    clipped = np.count_nonzero(inside) < np.count_nonzero(frame)
    return PlacedMask(placed.mask, placed.outside, placed.moved, placed.clipped + bool(clipped))


def _window(
    shape: tuple[int, ...], at: tuple[int, int], whole: tuple[int, ...]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """What of a frame at (row, column) lies in the whole: within the frame, and within the whole."""
    starts = [min(max(0, first), size) for first, size in zip(at, whole, strict=True)]
    stops = [max(start, min(size, first + n)) for start, first, n, size in zip(starts, at, shape, whole, strict=True)]
    rows, columns = (slice(start, stop) for start, stop in zip(starts, stops, strict=True))
    top, left = at
    within = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
    return within, (rows, columns)


def _check_axes(plane: Plane, volume: Volume) -> None:
    if plane.position_mm is None or plane.orientation is None or plane.spacing_mm is None:
        raise GeometryError("A frame of the segmentation has no position, orientation or spacing.")
    axes = np.allclose(plane.orientation, volume.orientation, rtol=0, atol=COSINES_TOLERANCE)
    if not axes or not np.allclose(plane.spacing_mm, volume.spacing_mm[1:], rtol=COSINES_TOLERANCE, atol=0):
        raise GeometryError("The segmentation's axes are not the volume's.", "Use the series it was made on.")
