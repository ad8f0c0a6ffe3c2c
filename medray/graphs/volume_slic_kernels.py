"""Compiled loops of SLIC on volumes: blur, assignment and update of the centres, in voxels of any three sides.

The rules of slic_kernels in three dimensions. Places are in voxels, and weights of the axes turn them into mm: a voxel
may have any three sides. No fastmath. Voxels that are not real belong to no region: label -1.

Source: Achanta et al. 2012, SLIC superpixels, doi:10.1109/TPAMI.2012.120.
"""

from typing import Any

import numpy as np

from medray.graphs.blur_kernels import add_scaled, blur_line
from medray.graphs.compiled import borrowing, inner, kernel
from medray.graphs.slic_kernels import assign_centre


@kernel
def blur_lines(volume: Any, weights: Any, out: Any) -> None:
    """Symmetric filter along the middle axis; the volume goes on at its ends with its last value.

    Args:
        volume: float32 (outer, length, inner).
        weights: float32, of distance 0, 1, 2 …: the right half of the filter.
        out: the same shape as volume, another array.
    """
    outer, length, _ = volume.shape
    for block in range(outer):
        for place in range(length):
            target = out[block, place]
            target[:] = 0
            for step in range(len(weights)):
                weight = weights[step] if step else weights[0] * np.float32(0.5)
                before, after = volume[block, max(place - step, 0)], volume[block, min(place + step, length - 1)]
                add_scaled(target, before, after, weight)


@kernel
def blur_columns(lines: Any, weights: Any, out: Any) -> None:
    """The same along the last axis of float32 (lines, columns)."""
    count, columns = lines.shape
    radius = len(weights) - 1
    wide = np.empty(columns + 2 * radius, np.float32)
    for row in range(count):
        wide[radius : radius + columns] = lines[row]
        wide[:radius] = lines[row, 0]
        wide[radius + columns :] = lines[row, columns - 1]
        blur_line(wide, weights, out[row])


@borrowing
def _assign_near(values: Any, over: int, centres: Any, frame: Any, rows: Any, out: Any) -> None:
    """Every centre near one slice against it; `rows`, `out`: of `assign_centre`."""
    reach, weights, columns = frame
    for number in range(len(centres)):
        apart = np.float32(over) - centres[number, 0]
        if abs(apart) <= reach[0]:
            place = (np.int32(number), centres[number, 1], centres[number, 2], weights[0] * apart * apart)
            centre = (*place, centres[number, 3:])
            planar = ((reach[1], reach[2]), (weights[1], weights[2]), columns)
            assign_centre(values, centre, planar, rows, out)


@borrowing
def _add_runs(values: Any, labels: Any, place: Any, sums: Any) -> None:
    """Add one line to the sums (count, slice, row, column, value) of its labels, run by run."""
    start, columns = 0, len(values)
    while start < columns:
        label = labels[start]
        total = np.float64(values[start])
        end = start + 1
        while end < columns and labels[end] == label:
            total += values[end]
            end += 1
        if label >= 0:
            count = np.float64(end - start)
            sums[label, 0] += count
            sums[label, 1] += count * place[0]
            sums[label, 2] += count * place[1]
            sums[label, 3] += count * (start + end - 1) * 0.5
            sums[label, 4] += total
        start = end


@borrowing
def _move(centres: Any, sums: Any) -> None:
    """Centres to the means of their voxels; one without voxels stays where it is."""
    for number in range(centres.shape[0]):
        count = sums[number, 0]
        if count > 0:
            for part in range(4):
                centres[number, part] = np.float32(sums[number, part + 1] / count)
    sums[:] = 0


@inner
def _first_centres(volume: Any, real: Any, grid: Any) -> Any:
    """Middles of the grid's cells. One that is not real has an infinite value: it takes no voxel from others, keeps
    those of its cell that no other reaches, and moves to them.
    """
    slices, rows, columns = volume.shape
    centres = np.empty((grid[0] * grid[1] * grid[2], 4), np.float32)
    for number in range(centres.shape[0]):
        over = (number // (grid[1] * grid[2]) + 0.5) * slices / grid[0] - 0.5
        row = (number // grid[2] % grid[1] + 0.5) * rows / grid[1] - 0.5
        column = (number % grid[2] + 0.5) * columns / grid[2] - 0.5
        at = (int(over + 0.5), int(row + 0.5), int(column + 0.5))
        centres[number, 0], centres[number, 1], centres[number, 2] = over, row, column
        centres[number, 3] = volume[at] if real.size == 0 or real[at] else np.float32(np.inf)
    return centres


@borrowing
def _hide(line: Any, real: Any) -> None:
    for column in range(len(line)):
        line[column] = line[column] if real[column] else np.int32(-1)


@kernel
def supervoxels(volume: Any, real: Any, plan: Any, sweeps: int, stride: int, labels: Any) -> None:
    """Label each real voxel with its nearest centre; regions may still fall into pieces.

    The distance of a voxel to a centre is (difference of values)^2 + the sum over the axes of weight * (distance in
    voxels)^2, and a centre reaches as far as the next ones of the first grid.

    Args:
        volume: float32 (slices, rows, columns).
        real: bool, of the same shape; of size 0 where all voxels are real.
        plan: int64 (3,): slices, rows and columns of the first centres; float32 (3,): weights of the axes.
        sweeps: at least 1. The last one labels every row; those before it move the centres.
        stride: sweeps that move the centres look at each stride-th row of a slice.
        labels: int32 (slices, rows, columns), out: numbers of centres, -1 where not real.
    """
    slices, rows, columns = volume.shape
    grid, weights = plan
    centres = _first_centres(volume, real, grid)
    sums = np.zeros((centres.shape[0], 5), np.float64)
    reach = (
        np.float32(1.25 * slices / grid[0]), np.float32(1.25 * rows / grid[1]), np.float32(1.25 * columns / grid[2])
    )  # fmt: skip
    cells = ((np.arange(columns).astype(np.float32) + np.float32(0.5)) * grid[2] / columns).astype(np.int32)
    work = (cells, np.empty((rows, columns), np.float32), np.empty(columns, np.float32))
    for sweep in range(sweeps - 1):
        _sweep((volume, real), labels, centres, (grid, reach, weights), (sweep, stride), work)
        for over in range(slices):
            for row in range((sweep + over) % stride, rows, stride):
                _add_runs(volume[over, row], labels[over, row], (over, row), sums)
        _move(centres, sums)
    _sweep((volume, real), labels, centres, (grid, reach, weights), (0, 1), work)


@borrowing
def _sweep(view: Any, labels: Any, centres: Any, frame: Any, step: Any, work: Any) -> None:
    """Label each stride-th row of each slice, from another one on in each."""
    volume, real = view
    grid, reach, weights = frame
    sweep, stride = step
    cells, distance, gap = work
    slices, rows, columns = volume.shape
    for over in range(slices):
        first, marks = (sweep + over) % stride, labels[over]
        for row in range(first, rows, stride):
            cell = np.int32((over * grid[0] // slices * grid[1] + row * grid[1] // rows) * grid[2])
            for column in range(columns):
                marks[row, column] = cell + cells[column]
                distance[row, column] = np.inf
        values, out = volume[over].reshape(1, rows * columns), (distance.reshape(-1), marks.reshape(-1), gap)
        _assign_near(values, over, centres, (reach, weights, columns), (first, rows, stride), out)
        if real.size:
            for row in range(first, rows, stride):
                _hide(marks[row], real[over, row])
