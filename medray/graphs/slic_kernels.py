"""Compiled loops of SLIC on images of one or several channels: assignment and update of the centres.

No fastmath: sums keep their order and nothing is fused, so that the same image gives the same labels on every machine.
Every function takes C-contiguous writeable arrays of one type each, so that it has one signature and one cache entry:
processes that compile at the same time write the same file.

Source: Achanta et al. 2012, SLIC superpixels, doi:10.1109/TPAMI.2012.120.
"""

from typing import Any

import numpy as np

from medray.graphs.compiled import borrowing, inner, kernel
from medray.graphs.run_kernels import ONE, list_changes, words_for

LANES = 8
"""Float32 values in a vector of AVX2."""


@borrowing
def _span(middle: Any, reach: Any, columns: int) -> Any:
    """Columns that a centre reaches.

    Returns:
        The first one, and how many are looked at (uint64): whole vectors, where the row is that long; how many of these
        are within reach, and how far the centre is before the first of them (float32).
    """
    first, end = max(0, int(np.ceil(middle - reach))), min(columns, int(np.floor(middle + reach)) + 1)
    width = min(columns - first, (max(0, end - first) + LANES - 1) // LANES * LANES)
    return np.uint64(first), np.uint64(width), np.float32(end - first), np.float32(first) - middle


@borrowing
def _assign_rows(values: Any, rows: Any, span: Any, centre: Any, out: Any) -> None:
    """One centre against the rows of one channel that it reaches.

    The loop over columns stands in the loop over rows, and reads and writes the same places of three arrays: so LLVM
    asks once a centre, not once a row, whether the arrays overlap, and makes vectors of rows of 8 pixels, too.

    Args:
        values: float32 (pixels,).
        rows: first one, end and stride, and columns of the plane.
        span: of `_span`.
        centre: number (int32), row, value, what its distance from the plane adds, reach and weights.
        out: float32 least distances so far and int32 labels, both (pixels,).
    """
    first, end, stride, columns = rows
    start, width, within, offset = span
    number, middle, value, apart, reach, weight, weight_across = centre
    distance, labels = out
    for row in range(first, end, stride):
        down = np.float32(row) - middle
        if abs(down) <= reach:
            at, term = np.uint64(row * columns) + start, weight * down * down + apart
            for index in range(width):
                column = np.float32(np.int32(index))
                across, difference = column + offset, values[at + index] - value
                found = difference * difference + (weight_across * (across * across) + term)
                closer = (found < distance[at + index]) & (column < within)
                distance[at + index] = found if closer else distance[at + index]
                labels[at + index] = number if closer else labels[at + index]


@borrowing
def _add_gap(values: Any, at: Any, middle: Any, gap: Any) -> None:
    for index in range(np.uint64(len(gap))):
        difference = values[at + index] - middle
        gap[index] += difference * difference


@borrowing
def _assign_gaps(gap: Any, at: Any, terms: Any, out: Any) -> None:
    """A row for several channels: the squared differences are summed already, and count by their mean."""
    number, share, row_term, weight, within, offset = terms
    distance, labels = out
    for index in range(np.uint64(len(gap))):
        column = np.float32(np.int32(index))
        across = column + offset
        found = gap[index] * share + (weight * (across * across) + row_term)
        closer = (found < distance[at + index]) & (column < within)
        distance[at + index] = found if closer else distance[at + index]
        labels[at + index] = number if closer else labels[at + index]


@borrowing
def assign_centre(image: Any, centre: Any, frame: Any, rows: Any, out: Any) -> None:
    """One centre against all that it reaches of a plane.

    Args:
        image: float32 (channels, pixels).
        centre: number (int32), row, column, what its distance from the plane adds (float32), and its values, float32
            (channels,).
        frame: rows and columns that a centre reaches, weights of squared rows and columns (float32), and columns of the
            plane.
        rows: of the plane: the first one, their end, and the stride.
        out: float32 least distances so far and int32 labels, both (pixels,), and float32 (columns,) to work in.
    """
    number, middle, column, apart, values = centre
    (reach, reach_across), (weight, weight_across), columns = frame
    first, end, stride = rows
    distance, labels, work = out
    span = _span(column, reach_across, columns)
    first += max(0, int(middle - reach) - first) // stride * stride
    end = min(end, int(middle + reach) + 2)
    if len(values) == 1:
        one = (number, middle, values[0], apart, reach, weight, weight_across)
        _assign_rows(image[0], (first, end, stride, columns), span, one, (distance, labels))
        return
    start, width, within, offset = span
    share, gap = np.float32(1) / np.float32(len(values)), work[:width]
    for row in range(first, end, stride):
        down = np.float32(row) - middle
        if abs(down) <= reach:
            at = np.uint64(row * columns) + start
            gap[:] = 0
            for channel in range(len(values)):
                _add_gap(image[channel], at, values[channel], gap)
            terms = (number, share, weight * down * down + apart, weight_across, within, offset)
            _assign_gaps(gap, at, terms, (distance, labels))


@borrowing
def _add_runs(lines: Any, labels: Any, row: int, work: Any, sums: Any) -> None:
    """Add one row to the sums (count, row, column, each channel's values) of its labels, run by run.

    Args:
        lines: of `running_sums`.
        labels: of the row.
        row: its number.
        work: int32 (columns,) and `words_for` the columns, to work in.
        sums: in and out.
    """
    ends, marks = work
    count = list_changes(labels[1:], labels[:-1], 1, ends, marks)
    ends[count] = len(labels)
    start = np.uint32(0)
    for run in range(count + ONE):
        end, label = np.uint32(ends[run]), labels[start]
        if label >= 0:
            pixels = np.float64(end) - np.float64(start)
            sums[label, 0] += pixels
            sums[label, 1] += pixels * row
            sums[label, 2] += pixels * (np.float64(start) + np.float64(end) - 1) * 0.5
            for channel in range(lines.shape[0]):
                sums[label, 3 + channel] += lines[channel, row, end] - lines[channel, row, start]
        start = end


@borrowing
def _move(centres: Any, sums: Any) -> None:
    """Centres to the means of their pixels; one without pixels stays where it is."""
    for number in range(centres.shape[0]):
        count = sums[number, 0]
        if count > 0:
            for part in range(centres.shape[1]):
                centres[number, part] = np.float32(sums[number, part + 1] / count)
    sums[:] = 0


@inner
def _first_centres(image: Any, grid: Any) -> Any:
    """Row, column and values of the middle of each cell."""
    channels, rows, columns = image.shape
    centres = np.empty((grid[0] * grid[1], 2 + channels), np.float32)
    for number in range(centres.shape[0]):
        row = (number // grid[1] + 0.5) * rows / grid[0] - 0.5
        column = (number % grid[1] + 0.5) * columns / grid[1] - 0.5
        centres[number, 0], centres[number, 1] = row, column
        for channel in range(channels):
            centres[number, 2 + channel] = image[channel, int(row + 0.5), int(column + 0.5)]
    return centres


@inner
def _centres_inside(lines: Any, inside: Any, grid: Any, cells: Any, sums: Any) -> Any:
    """Means of what each cell has inside the mask. Of cells that lie half outside the others take what they reach."""
    rows, columns = inside.shape
    line, work = np.empty(columns, np.int32), (np.empty(columns, np.int32), words_for(columns))
    for row in range(rows):
        first = np.int32(row * grid[0] // rows * grid[1])
        for column in range(columns):
            line[column] = first + cells[column] if inside[row, column] else np.int32(-1)
        _add_runs(lines, line, row, work, sums)
    half = rows * columns / (2 * sums.shape[0])
    for number in range(sums.shape[0]):
        sums[number, 0] = sums[number, 0] if sums[number, 0] >= half else 0.0
    centres = np.full((sums.shape[0], sums.shape[1] - 1), np.inf, np.float32)  # no pixel reaches these
    _move(centres, sums)
    return centres


@borrowing
def _leave_out(inside: Any, labels: Any) -> None:
    for column in range(len(labels)):
        labels[column] = labels[column] if inside[column] else np.int32(-1)


@kernel
def slic(view: Any, grid: Any, weight: Any, sweeps: int, stride: int, labels: Any) -> None:
    """Label each pixel with its nearest centre; regions may still fall into pieces.

    The distance of a pixel to a centre is the mean over channels of (difference of values)^2, plus weight * (distance
    in pixels)^2, and a centre reaches as far as the next ones of the first grid.

    Args:
        view: the image, float32 (channels, rows, columns), its `running_sums`, and its mask, bool (rows, columns), or
            (0, 0) for none.
        grid: rows and columns of the first centres, int64.
        weight: float32.
        sweeps: at least 1. The last one labels every row; those before it move the centres.
        stride: sweeps that move the centres look at each stride-th row.
        labels: int32 (rows, columns), out: numbers of centres, -1 outside the mask.
    """
    image, lines, inside = view
    channels, rows, columns = image.shape
    cells = ((np.arange(columns).astype(np.float32) + np.float32(0.5)) * grid[1] / columns).astype(np.int32)
    sums = np.zeros((grid[0] * grid[1], 3 + channels), np.float64)
    centres = _centres_inside(lines, inside, grid, cells, sums) if len(inside) else _first_centres(image, grid)
    reach = (np.float32(1.25 * rows / grid[0]), np.float32(1.25 * columns / grid[1]))
    work = (cells, np.empty((rows, columns), np.float32), np.empty(columns, np.float32))
    lists = (np.empty(columns, np.int32), words_for(columns))
    for sweep in range(sweeps - 1):
        _sweep(view, labels, centres, (grid, reach, weight), (sweep % stride, stride), work)
        for row in range(sweep % stride, rows, stride):
            _add_runs(lines, labels[row], row, lists, sums)
        _move(centres, sums)
    _sweep(view, labels, centres, (grid, reach, weight), (0, 1), work)


@borrowing
def _sweep(view: Any, labels: Any, centres: Any, frame: Any, step: Any, work: Any) -> None:
    """Label each stride-th row from the first on."""
    image, _, inside = view
    grid, reach, weight = frame
    first, stride = step
    cells, distance, gap = work
    channels, rows, columns = image.shape
    for row in range(first, rows, stride):
        cell = np.int32(row * grid[0] // rows * grid[1])
        for column in range(columns):
            labels[row, column] = cell + cells[column]
            distance[row, column] = np.inf
    flat, out = image.reshape(channels, rows * columns), (distance.reshape(-1), labels.reshape(-1), gap)
    for number in range(len(centres)):
        row, column, values = centres[number, 0], centres[number, 1], centres[number, 2:]
        if column <= columns:  # infinitely far, where its cell lies outside the mask
            centre = (np.int32(number), row, column, np.float32(0), values)
            assign_centre(flat, centre, (reach, (weight, weight), columns), (first, rows, stride), out)
    if len(inside):
        for row in range(first, rows, stride):
            _leave_out(inside[row], labels[row])
