"""A stack of slices to a volume: values, positions, and an affine where there is one."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64

from medray.archive.instance import Instance
from medray.archive.planes import Plane
from medray.errors import GeometryError, SampleError
from medray.pixels.geometry import GeometryStatus, Steps, describe_steps, slice_normal, tolerance_mm
from medray.pixels.series import Phase, Slice, Stack, split_objects
from medray.pixels.values import FrameValues, PetValues, frame_values

Grid = Float32[np.ndarray, "slices rows columns"]
Mask = Bool[np.ndarray, "slices rows columns"]
Affine = Float64[np.ndarray, "4 4"]


@dataclass(frozen=True)
class Volume:
    """A volume of modality values.

    Attributes:
        values: (slices, rows, columns), slices rising along the normal (row cosines x column cosines).
        mask: true where a value is real; None where all are.
        positions_mm: (slices, 3), centre of each slice's first pixel, LPS.
        orientation: row cosines, then column cosines, LPS.
        spacing_mm: (between slices along the normal, rows, columns); the first is the median, and None for a single
            slice whose header does not say.
        affine: (column, row, slice, 1) to (x, y, z, 1) in mm, LPS, sheared where the gantry was tilted; None where the
            slices lie on no regular grid (gap, uneven, shifted, conflicting), or a single slice has no thickness.
        geometry_status: see GeometryStatus.
        phase: what tells this volume from others at the same places.
        notes: what was dropped, recovered or assumed.
    """

    values: Grid = field(repr=False)
    mask: Mask | None = field(repr=False)
    positions_mm: Float64[np.ndarray, "slices 3"] = field(repr=False)
    orientation: tuple[float, ...]
    spacing_mm: tuple[float | None, float, float]
    affine: Affine | None
    geometry_status: GeometryStatus
    localiser: bool = False
    phase: Phase = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Series:
    """The volumes of a series, and what is in none of them (as in `series.Split`)."""

    volumes: tuple[Volume, ...]
    without_geometry: int
    copies: int
    refused: tuple[str, ...]


def build_volumes(objects: Iterable[bytes], pet: PetValues = "modality") -> Series:
    """The volumes of DICOM objects, in whatever order they come; `pet` as in `frame_values`.

    Raises:
        SampleError: where a slice's pixels cannot be decoded.
    """
    split = split_objects(objects)
    volumes = tuple(build_volume(stack, pet) for stack in split.stacks)
    return Series(volumes, split.without_geometry, split.copies, split.refused)


def build_volume(stack: Stack, pet: PetValues = "modality") -> Volume:
    """One stack's volume. A slice that cannot be decoded is left out, noted, and shows as a gap.

    Raises:
        SampleError: where no slice can be decoded.
        GeometryError: where slices are in colour.
    """
    slices, values, mask, flags = _values(stack.slices, pet)
    first = slices[0].plane
    orientation, distances = first.orientation or (), first.spacing_mm or (0.0, 0.0)
    positions = np.array([item.plane.position_mm for item in slices], np.float64)
    steps = describe_steps(positions, slice_normal(orientation))
    if stack.conflicting:
        steps = replace(steps, status=GeometryStatus.CONFLICTING, step_mm=None)
    spacing, step, notes = _slice_step(steps, first)
    if steps.missing:
        notes = (*notes, f"slices_missing:{steps.missing}")
    return Volume(
        values,
        mask,
        positions,
        orientation,
        (spacing, *distances),
        None if step is None else _affine(positions[0], orientation, distances, step),
        steps.status,
        localiser=first.localiser,
        phase=stack.phase,
        notes=tuple(dict.fromkeys((*stack.notes, *notes, *flags))),
    )


def regular_parts(volume: Volume) -> tuple[Volume, ...]:
    """A volume with gaps as the volumes between its gaps, each with an affine; any other volume as it is."""
    if volume.geometry_status is not GeometryStatus.GAP or volume.spacing_mm[0] is None:
        return (volume,)
    normal = slice_normal(volume.orientation)
    distances = np.diff(volume.positions_mm @ normal)
    cuts = np.flatnonzero(distances > volume.spacing_mm[0] + tolerance_mm(volume.spacing_mm[0])) + 1
    ends = zip((0, *cuts), (*cuts, len(volume.values)), strict=True)
    return tuple(_part(volume, slice(int(start), int(stop)), normal) for start, stop in ends)


def _part(volume: Volume, within: slice, normal: np.ndarray) -> Volume:
    """Some neighbouring slices; a single one keeps the volume's spacing."""
    steps = describe_steps(volume.positions_mm[within], normal)
    spacing, *distances = volume.spacing_mm
    single = steps.status is GeometryStatus.SINGLE_SLICE and spacing is not None
    step = spacing * normal if single and spacing is not None else steps.step_mm
    first = volume.positions_mm[within][0]
    return replace(
        volume,
        values=volume.values[within],
        mask=None if volume.mask is None else volume.mask[within],
        positions_mm=volume.positions_mm[within],
        spacing_mm=(spacing if single else steps.spacing_mm, distances[0], distances[1]),
        affine=None if step is None else _affine(first, volume.orientation, (distances[0], distances[1]), step),
        geometry_status=steps.status,
        notes=(*(note for note in volume.notes if not note.startswith("slices_missing")), "part_of_a_volume_with_gaps"),
    )


def _slice_step(steps: Steps, plane: Plane) -> tuple[float | None, np.ndarray | None, tuple[str, ...]]:
    """Spacing and step between slices; of a single slice from its header, noted, never invented."""
    if steps.status is not GeometryStatus.SINGLE_SLICE:
        return steps.spacing_mm, steps.step_mm, ()
    told = plane.slice_spacing_mm or plane.thickness_mm
    if not told or told < 0:
        return None, None, ("slice_spacing_unknown",)
    source = "spacing_between_slices" if plane.slice_spacing_mm else "slice_thickness"
    return told, told * slice_normal(plane.orientation or ()), (f"slice_spacing_from:{source}",)


def _affine(
    position: np.ndarray, orientation: tuple[float, ...], distances: tuple[float, float], step: np.ndarray
) -> Affine:
    """Source: DICOM PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1, with the step as its third column."""
    affine = np.eye(4)
    affine[:3, 0] = np.array(orientation[:3]) * distances[1]
    affine[:3, 1] = np.array(orientation[3:]) * distances[0]
    affine[:3, 2], affine[:3, 3] = step, position
    return affine


def _values(slices: tuple[Slice, ...], pet: PetValues) -> tuple[list[Slice], Grid, Mask | None, tuple[str, ...]]:
    """The slices that could be decoded and their values, each with its own rescale. A mosaic is decoded once."""
    plane = slices[0].plane
    values, mask = np.empty((len(slices), plane.rows, plane.columns), np.float32), None
    kept: list[Slice] = []
    flags: dict[str, None] = {}
    refused: list[SampleError] = []
    last: tuple[Instance, int, FrameValues] | None = None
    for item in slices:
        try:
            if last is None or last[0] is not item.instance or last[1] != item.plane.frame:
                last = item.instance, item.plane.frame, _grey(item, pet)
        except SampleError as error:
            refused.append(error)
            continue
        frame, (row, column) = last[2], item.plane.corner
        cut = slice(row, row + plane.rows), slice(column, column + plane.columns)
        values[len(kept)] = frame.values[cut]
        if frame.mask is not None:
            mask = np.ones(values.shape, np.bool_) if mask is None else mask
            mask[len(kept)] = frame.mask[cut]
        kept.append(item)
        flags |= dict.fromkeys((*item.plane.flags, *frame.flags))
    if not kept:
        raise refused[0]
    notes = (f"slices_refused:{len(refused)}",) if refused else ()
    return kept, values[: len(kept)], None if mask is None else mask[: len(kept)], (*notes, *flags)


def _grey(item: Slice, pet: PetValues) -> FrameValues:
    frame = frame_values(item.instance, item.plane.frame, pet=pet)
    if frame.values.ndim != 2:
        raise GeometryError("A volume is made of grey values, and this series is in colour.")
    return frame
