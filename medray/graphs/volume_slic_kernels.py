"""Compiled loops of SLIC on volumes: blur, assignment and update of the centres, in voxels of any three sides.

The rules of slic_kernels in three dimensions. Places are in voxels, and weights of the axes turn them into mm: a voxel
may have any three sides. No fastmath. Voxels that are not real belong to no region: label -1.

Source: Achanta et al. 2012, SLIC superpixels, doi:10.1109/TPAMI.2012.120.
"""

from typing import Any

import numpy as np

from medray.graphs.blur_kernels import add_scaled
from medray.graphs.compiled import borrowing, kernel
from medray.graphs.slic_kernels import LANES, assign_line, find_spans


@borrowing
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
        target = out[row]
        target[:] = 0
        for step in range(radius + 1):
            weight = weights[step] if step else weights[0] * np.float32(0.5)
            before, after = wide[radius - step : radius - step + columns], wide[radius + step : radius + step + columns]
            add_scaled(target, before, after, weight)


@borrowing
def _find_near(place: Any, centres: Any, bounds: Any, frame: Any, near: Any) -> Any:
    """The centres whose reach a line is in, in their order, as `assign_line` takes them; `place`: slice and row."""
    low, high = bounds
    grid, reach, weights = frame
    numbers, middles, terms = near
    count = np.uint64(0)
    for band in range(grid[0] * grid[1]):
        if place[0] < low[band, 0] - reach[0] or place[0] > high[band, 0] + reach[0]:
            continue
        if place[1] < low[band, 1] - reach[1] or place[1] > high[band, 1] + reach[1]:
            continue
        for number in range(band * grid[2], (band + 1) * grid[2]):
            over, down = np.float32(place[0]) - centres[number, 0], np.float32(place[1]) - centres[number, 1]
            numbers[count], middles[count] = number, centres[number, 3]
            terms[count] = weights[1] * down * down + weights[0] * over * over
            count += np.uint64((abs(over) <= reach[0]) & (abs(down) <= reach[1]))
    return count


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


@kernel
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
def _find_bounds(centres: Any, grid: Any, low: Any, high: Any) -> None:
    """Lowest and highest slice and row of the centres of each line of cells."""
    for band in range(len(low)):
        ours = centres[band * grid[2] : (band + 1) * grid[2]]
        for axis in range(2):
            low[band, axis], high[band, axis] = ours[:, axis].min(), ours[:, axis].max()


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
    low, high = np.empty((grid[0] * grid[1], 2), np.float32), np.empty((grid[0] * grid[1], 2), np.float32)
    reach = (
        np.float32(1.25 * slices / grid[0]), np.float32(1.25 * rows / grid[1]), np.float32(1.25 * columns / grid[2])
    )  # fmt: skip
    ramp = np.arange(columns).astype(np.float32)
    distance = np.empty(columns, np.float32)
    cells = ((ramp + np.float32(0.5)) * grid[2] / columns).astype(np.int32)
    widest = min(columns, int(2 * reach[2]) + 2 * LANES)
    starts, squares = np.empty(len(sums), np.uint64), np.empty(len(sums) * widest, np.float32)
    numbers, middles, terms = np.empty_like(starts), np.empty(len(sums), np.float32), np.empty(len(sums), np.float32)
    flat = volume.reshape(-1)
    for sweep in range(sweeps):
        last = sweep == sweeps - 1
        _find_bounds(centres, grid, low, high)
        width = find_spans(centres[:, 2], reach[2], weights[2], ramp, (starts, squares))
        for over in range(slices):
            for row in range(0 if last else (sweep + over) % stride, rows, 1 if last else stride):
                line = labels[over, row]
                first = np.int32((over * grid[0] // slices * grid[1] + row * grid[1] // rows) * grid[2])
                for column in range(columns):
                    line[column] = first + cells[column]
                    distance[column] = np.inf
                frame = (grid, reach, weights)
                count = _find_near((over, row), centres, (low, high), frame, (numbers, middles, terms))
                near, origin = ((numbers, middles, terms), count), np.uint64((over * rows + row) * columns)
                assign_line(flat, origin, near, ((starts, squares), width), (distance, line))
                if real.size:
                    _hide(line, real[over, row])
                if not last:
                    _add_runs(volume[over, row], line, (over, row), sums)
        if not last:
            _move(centres, sums)
