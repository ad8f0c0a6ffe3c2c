"""A series' objects to stacks of slices, one a volume: whatever the names, the numbers and the order of arrival.

Localisers, orientations, matrix sizes and pixel spacings go apart. Slices at one place go apart by what their headers
mark them with (echo time, temporal position, acquisition number …), and where nothing does, by Instance Number, noted.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from medray.archive.instance import Instance
from medray.archive.planes import Mark, Plane, read_planes
from medray.archive.reading import read_instance
from medray.errors import SampleError
from medray.pixels.geometry import TOLERANCE_MM, slice_normal, tolerance_mm

COSINES_TOLERANCE = 1e-3
"""Cosines may differ by this between slices of one volume: 0.06 degrees."""
AXES_TOLERANCE = 0.01
"""Lengths and right angles of a header's cosines: many are written with three digits."""
FEWEST_OF_MANY = 3
"""A mark may make more parts than slices at one place only where each part has this many slices."""
Phase = tuple[tuple[str, Mark], ...]


@dataclass(frozen=True)
class Slice:
    """A plane, the object that holds its pixels, and a digest of them as stored."""

    plane: Plane
    instance: Instance = field(repr=False)
    digest: str = field(repr=False)


@dataclass(frozen=True)
class Stack:
    """Slices sorted by their position along the normal, no two at the same place.

    Attributes:
        phase: the marks by which it was told from other stacks at the same places.
        notes: what had to be dropped or could not be told.
        conflicting: some places have other slices too, and nothing tells which of them belong together.
    """

    slices: tuple[Slice, ...]
    phase: Phase = ()
    notes: tuple[str, ...] = ()
    conflicting: bool = False


@dataclass(frozen=True)
class Split:
    """Stacks, and what is in none of them.

    Attributes:
        without_geometry: slices whose headers have no position or spacing, or no two axes at a right angle.
        copies: slices that came again under the same UID with the same pixels.
        refused: reasons of the objects that could not be read, sorted.
    """

    stacks: tuple[Stack, ...]
    without_geometry: int = 0
    copies: int = 0
    refused: tuple[str, ...] = ()


def read_slices(data: bytes) -> list[Slice]:
    """The slices of one DICOM object.

    Raises:
        SampleError: for whatever keeps it from being an image.
    """
    instance, planes = read_instance(data, "dicom"), read_planes(data)
    digests: dict[int, str] = {}
    slices = []
    for plane in planes:
        if plane.frame not in digests:
            stored = instance.encoded_frames[plane.frame] if plane.frame < len(instance.encoded_frames) else None
            digests[plane.frame] = hashlib.sha256(stored or b"").hexdigest()
        slices.append(Slice(plane, instance, digests[plane.frame]))
    return slices


def split_objects(objects: Iterable[bytes]) -> Split:
    """DICOM objects, of one series or of several, to stacks. An object that cannot be read costs a reason only."""
    slices: list[Slice] = []
    refused = []
    for data in objects:
        try:
            slices += read_slices(data)
        except SampleError as error:
            refused.append(error.reason.value)
    split = split_slices(slices)
    return replace(split, refused=tuple(sorted(refused)))


def split_slices(slices: Iterable[Slice]) -> Split:
    """Slices to stacks, the same ones in whatever order the slices come."""
    placed, lost, copies = [], 0, 0
    seen = set()
    for item in sorted(slices, key=_order):
        plane = item.plane
        same = (plane.sop_instance_uid, plane.frame, plane.corner, item.digest)
        if plane.sop_instance_uid and same in seen:
            copies += 1
        elif not _has_place(plane):
            lost += 1
        else:
            placed.append(item)
        seen.add(same)
    return Split(tuple(stack for group in _alike(placed) for stack in _stacks(group, (), ())), lost, copies)


def _has_place(plane: Plane) -> bool:
    """Position, spacing, and two axes of length 1 at a right angle. Source: DICOM PS3.3 C.7.6.2.1.1."""
    if plane.position_mm is None or plane.orientation is None or plane.spacing_mm is None:
        return False
    axes = np.array(plane.orientation, np.float64).reshape(2, 3)
    return bool(np.abs(axes @ axes.T - np.eye(2)).max() <= AXES_TOLERANCE)


def _order(item: Slice) -> tuple[object, ...]:
    """Nothing of names, numbers and arrival."""
    plane = item.plane
    place = plane.position_mm or (), plane.orientation or ()
    return plane.series_instance_uid or "", *place, item.digest, plane.sop_instance_uid or "", plane.frame, plane.corner


def _alike(slices: list[Slice]) -> list[list[Slice]]:
    """Groups of slices that could be of one volume: one series, size and kind, axes and spacing within tolerance."""
    groups: dict[tuple[object, ...], list[list[Slice]]] = defaultdict(list)
    for item in slices:
        plane = item.plane
        kinds = groups[plane.series_instance_uid, plane.rows, plane.columns, plane.localiser]
        group = next((group for group in kinds if _parallel(group[0].plane, plane)), None)
        if group is None:
            kinds.append([item])
        else:
            group.append(item)
    return [group for kinds in groups.values() for group in kinds]


def _parallel(a: Plane, b: Plane) -> bool:
    axes = np.allclose(np.array(a.orientation), np.array(b.orientation), rtol=0, atol=COSINES_TOLERANCE)
    return bool(axes and np.allclose(np.array(a.spacing_mm), np.array(b.spacing_mm), rtol=COSINES_TOLERANCE, atol=0))


def _places(slices: list[Slice]) -> list[list[Slice]]:
    """Slices by position along the normal of the first, those at one place together, in rising order."""
    normal = slice_normal(slices[0].plane.orientation or ())
    heights = [float(np.dot(np.array(item.plane.position_mm), normal)) for item in slices]
    order = np.argsort(heights, kind="stable")
    rising = np.diff(np.array(heights)[order])
    apart = rising[rising > TOLERANCE_MM]
    tolerance = tolerance_mm(float(np.median(apart))) if len(apart) else TOLERANCE_MM
    places = [[slices[order[0]]]]
    for step, index in zip(rising, order[1:], strict=True):
        if step > tolerance:
            places.append([])
        places[-1].append(slices[index])
    return places


def _stacks(slices: list[Slice], phase: Phase, notes: tuple[str, ...]) -> list[Stack]:
    """One stack where no two slices share a place; else parts by the first mark that tells them apart.

    A mark that is at every place goes first, then Instance Number where all places have as many slices, and last a mark
    whose parts reach over different places.
    """
    places = _places(slices)
    deepest = max(map(len, places))
    if deepest == 1:
        return [Stack(tuple(place[0] for place in places), phase, notes)]
    by_mark = [(name, _parts(slices, name)) for name in slices[0].plane.marks]
    for name, parts in by_mark:
        if len(parts) > 1 and all(len(_places(part)) == len(places) for part in parts.values()):
            return _by_mark(parts, name, phase, notes)
    if len({len(place) for place in places}) == 1 and _numbered(places):
        return _by_number(places, phase, (*notes, "time_points_by_instance_number"))
    for name, parts in by_mark:
        if _tells_apart(list(parts.values()), deepest):
            return _by_mark(parts, name, phase, notes)
    return _conflicting(places, phase, notes)


def _parts(slices: list[Slice], name: str) -> dict[Mark, list[Slice]]:
    parts: dict[Mark, list[Slice]] = defaultdict(list)
    for item in slices:
        parts[item.plane.marks[name]].append(item)
    return parts


def _by_mark(parts: dict[Mark, list[Slice]], name: str, phase: Phase, notes: tuple[str, ...]) -> list[Stack]:
    order = sorted(parts, key=lambda mark: (mark is not None, isinstance(mark, str), mark))
    return [stack for mark in order for stack in _stacks(parts[mark], (*phase, (name, mark)), notes)]


def _tells_apart(parts: list[list[Slice]], deepest: int) -> bool:
    if len(parts) < 2 or (len(parts) > deepest and min(map(len, parts)) < FEWEST_OF_MANY):
        return False
    return max(len(place) for part in parts for place in _places(part)) < deepest


def _number(item: Slice) -> tuple[int, int]:
    return item.plane.instance_number or 0, item.plane.frame


def _numbered(places: list[list[Slice]]) -> bool:
    known = all(item.plane.instance_number is not None for place in places for item in place)
    return known and all(len({_number(item) for item in place}) == len(place) for place in places)


def _by_number(places: list[list[Slice]], phase: Phase, notes: tuple[str, ...]) -> list[Stack]:
    ranked = [
        sorted(place, key=_number) for place in places
    ]  # stable: what has no number stays in the order of content
    return [
        Stack(tuple(place[rank] for place in ranked if rank < len(place)), (*phase, ("time_point", rank)), notes)
        for rank in range(max(map(len, places)))
    ]


def _conflicting(places: list[list[Slice]], phase: Phase, notes: tuple[str, ...]) -> list[Stack]:
    """Nothing tells the slices of a place apart: those of equal pixels are one, and what then is left is a conflict."""
    kept = [list({item.digest: item for item in place}.values()) for place in places]
    dropped = sum(map(len, places)) - sum(map(len, kept))
    if dropped:
        return _stacks([item for place in kept for item in place], phase, (*notes, f"duplicates_dropped:{dropped}"))
    return [replace(stack, conflicting=True) for stack in _by_number(places, phase, notes)]
