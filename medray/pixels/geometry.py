"""Positions of slices to the step between them, and what is odd about them: nothing is stretched in silence.

Source: DICOM PS3.3 C.7.6.2.1.1 (Image Position and Image Orientation).
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float64

Positions = Float64[np.ndarray, "slices 3"]
Vector = Float64[np.ndarray, "3"]
TOLERANCE_MM = 0.01
TOLERANCE_OF_SPACING = 0.01


class GeometryStatus(StrEnum):
    """What the positions of a volume's slices are; only the first three have an affine."""

    REGULAR = "regular"  # one distance from each slice to the next, along the normal
    TILTED = "tilted"  # one step from each slice to the next, not along the normal (gantry tilt): the affine is sheared
    SINGLE_SLICE = "single_slice"
    GAP = "gap"  # a distance that is a multiple of the usual one: slices are missing
    UNEVEN = "uneven"  # distances that differ otherwise
    CONFLICTING = "conflicting"  # different slices at one place, and nothing that tells them apart
    SHIFTED = "shifted"  # slices that are displaced in their plane, and not by the same step


@dataclass(frozen=True)
class Steps:
    """What the positions say.

    Attributes:
        step_mm: from each slice to the next; None where there is no such step.
        spacing_mm: median distance (the lower one of two) of neighbouring slices along the normal; None for one slice.
        missing: slices that are missing in gaps.
    """

    status: GeometryStatus
    step_mm: Vector | None
    spacing_mm: float | None
    missing: int = 0


def slice_normal(orientation: tuple[float, ...]) -> Vector:
    """Unit vector along row cosines x column cosines, LPS. `orientation` is (0020,0037)."""
    normal = np.cross(np.array(orientation[:3], np.float64), np.array(orientation[3:], np.float64))
    length = float(np.linalg.norm(normal))
    return normal / length if length else normal


def tolerance_mm(spacing_mm: float) -> float:
    """What two distances may differ by: 1 % of the spacing, 0.01 mm at the least."""
    return max(TOLERANCE_MM, TOLERANCE_OF_SPACING * spacing_mm)


def describe_steps(positions: Positions, normal: Vector) -> Steps:
    """The steps between positions that are sorted along the normal, no two at the same place."""
    if len(positions) == 1:
        return Steps(GeometryStatus.SINGLE_SLICE, None, None)
    steps = np.diff(positions, axis=0)
    distances = steps @ normal
    spacing = float(np.sort(distances)[(len(distances) - 1) // 2])  # a distance that occurs: the mean of two may not
    tolerance = tolerance_mm(spacing)
    times = np.rint(distances / spacing)
    if (np.abs(distances - spacing) > tolerance).any():
        gaps = bool((np.abs(distances - times * spacing) <= tolerance).all() and times.min() >= 1)
        status = GeometryStatus.GAP if gaps else GeometryStatus.UNEVEN
        return Steps(status, None, spacing, int((times - 1).sum()) if gaps else 0)
    sideways = steps - distances[:, None] * normal
    usual = np.median(sideways, axis=0)
    if (np.linalg.norm(sideways - usual, axis=1) > tolerance).any():
        return Steps(GeometryStatus.SHIFTED, None, spacing)
    step = (positions[-1] - positions[0]) / (len(positions) - 1)
    tilted = float(np.linalg.norm(step - (step @ normal) * normal)) > tolerance
    return Steps(GeometryStatus.TILTED if tilted else GeometryStatus.REGULAR, step, spacing)
