"""Compiled loop that finds the nearest of many points."""

from typing import Any

import numpy as np

from medray.graphs.compiled import kernel


@kernel
def nearest(points: Any, count: int) -> Any:
    """The nearest other points of each point; of equally near ones those that come first.

    Every pair is looked at: 0.3 ms for 400 points, 100 times that for 4,000.

    Args:
        points: float64 (points, dimensions).
        count: how many, less than there are points.

    Returns:
        int32 (points, count), nearest first.
    """
    found = np.empty((points.shape[0], count), np.int32)
    gaps = np.empty(count, np.float64)
    for one in range(points.shape[0]):
        gaps[:] = np.inf
        chosen = found[one]
        for other in range(points.shape[0]):
            if other == one:
                continue
            gap = 0.0
            for axis in range(points.shape[1]):
                apart = points[one, axis] - points[other, axis]
                gap += apart * apart
            if gap < gaps[count - 1]:
                place = count - 1
                while place > 0 and gap < gaps[place - 1]:
                    gaps[place], chosen[place] = gaps[place - 1], chosen[place - 1]
                    place -= 1
                gaps[place], chosen[place] = gap, other
    return found
