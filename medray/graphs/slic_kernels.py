"""Compiled loops of SLIC on images of one or several channels: assignment and update of the centres.

No fastmath: sums keep their order and nothing is fused, so that the same image gives the same labels on every machine.
Every function takes C-contiguous writeable arrays of one type each, so that it has one signature and one cache entry:
processes that compile at the same time write the same file.

Source: Achanta et al. 2012, SLIC superpixels, doi:10.1109/TPAMI.2012.120.
"""

from typing import Any

import numpy as np

from medray.graphs.compiled import borrowing, kernel
from medray.graphs.run_kernels import ONE, list_changes, words_for

LANES = 8
"""Float32 values in a vector of AVX2."""


@borrowing
def find_spans(middles: Any, reach: Any, weight: Any, ramp: Any, spans: Any) -> Any:
    """Where along a line each centre is looked at, and what its distance adds there, infinity beyond its reach.

    All centres get the same width, and a multiple of LANES where the line is that long: loops over it leave no rest.

    Args:
        middles: float32, columns of the centres; infinite ones are never looked at.
        reach: float32, columns.
        weight: float32, of squared distances.
        ramp: float32 (columns,): 0, 1, 2 …
        spans: uint64 first columns, and float32 weighted squares of the distance, one width of them a centre; out.

    Returns:
        The width, uint64.
    """
    starts, squares = spans
    columns, most = len(ramp), 0
    for number in range(len(middles)):
        if middles[number] <= columns:
            first = max(0, int(np.ceil(middles[number] - reach)))
            most = max(most, min(columns, int(np.floor(middles[number] + reach)) + 1) - first)
    width = np.uint64(min(columns, (most + LANES - 1) // LANES * LANES))
    for number in range(len(middles)):
        middle = middles[number]
        if middle > columns:
            starts[number] = 0
            continue
        first = max(0, int(np.ceil(middle - reach)))
        start = np.uint64(max(0, min(first, columns - int(width))))
        low, high = np.float32(first), np.float32(min(columns, int(np.floor(middle + reach)) + 1))
        starts[number], place = start, np.uint64(number) * width
        for index in range(width):
            across = (ramp[start + index] - low) + (low - middle)
            within = (ramp[start + index] >= low) & (ramp[start + index] < high)
            squares[place + index] = weight * (across * across) if within else np.float32(np.inf)
    return width


@borrowing
def assign_line(values: Any, origin: Any, near: Any, spans: Any, out: Any) -> None:
    """The centres near a line against it, one after the other: unsigned columns let LLVM make vectors of each.

    Args:
        values: float32, of all lines.
        origin: uint64, where this one begins.
        near: numbers (uint64), values (float32) and weighted squared distances from the line (float32) of the centres,
            and how many there are.
        spans: of `find_spans`, and the width.
        out: float32 least distances so far, int32 labels.
    """
    (numbers, middles, terms), count = near
    (starts, squares), width = spans
    distance, labels = out
    for place in range(count):
        number, middle, term = numbers[place], middles[place], terms[place]
        start, first = starts[number], number * width
        for index in range(width):
            difference = values[origin + start + index] - middle
            found = difference * difference + (squares[first + index] + term)
            closer = found < distance[start + index]
            distance[start + index] = found if closer else distance[start + index]
            labels[start + index] = np.int32(number) if closer else labels[start + index]


@borrowing
def _assign_channels(image: Any, origin: Any, centres: Any, near: Any, spans: Any, out: Any) -> None:
    """`assign_line` for several channels, float32 (channels, pixels), whose squared differences count by their mean."""
    (numbers, _, terms), count = near
    (starts, squares), width = spans
    distance, labels, gap = out
    share = np.float32(1) / np.float32(image.shape[0])
    for place in range(count):
        number, term = numbers[place], terms[place]
        start, first = starts[number], number * width
        gap[:] = 0
        for channel in range(image.shape[0]):
            middle = centres[number, 2 + channel]
            for index in range(width):
                difference = image[channel, origin + start + index] - middle
                gap[index] += difference * difference
        for index in range(width):
            found = gap[index] * share + (squares[first + index] + term)
            closer = found < distance[start + index]
            distance[start + index] = found if closer else distance[start + index]
            labels[start + index] = np.int32(number) if closer else labels[start + index]


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
def _find_near(row: int, centres: Any, bounds: Any, frame: Any, near: Any) -> Any:
    """The centres whose reach a row is in, in their order, as `assign_line` takes them; how many (uint64)."""
    low, high = bounds
    grid, reach, weight = frame
    numbers, middles, terms = near
    count = np.uint64(0)
    for band in range(grid[0]):
        if low[band] - reach <= row <= high[band] + reach:
            for number in range(band * grid[1], (band + 1) * grid[1]):
                down = np.float32(row) - centres[number, 0]
                numbers[count], middles[count], terms[count] = number, centres[number, 2], weight * down * down
                count += np.uint64(abs(down) <= reach)
    return count


@borrowing
def _move(centres: Any, sums: Any) -> None:
    """Centres to the means of their pixels; one without pixels stays where it is."""
    for number in range(centres.shape[0]):
        count = sums[number, 0]
        if count > 0:
            for part in range(centres.shape[1]):
                centres[number, part] = np.float32(sums[number, part + 1] / count)
    sums[:] = 0


@borrowing
def _find_bounds(centres: Any, grid: Any, bounds: Any) -> None:
    """Lowest and highest row of the centres of each row of cells."""
    low, high = bounds
    for band in range(grid[0]):
        low[band], high[band] = np.inf, -np.inf
        for number in range(band * grid[1], (band + 1) * grid[1]):
            low[band], high[band] = min(low[band], centres[number, 0]), max(high[band], centres[number, 0])


@kernel
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


@kernel
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
    count, ramp = grid[0] * grid[1], np.arange(columns).astype(np.float32)
    cells = ((ramp + np.float32(0.5)) * grid[1] / columns).astype(np.int32)
    sums = np.zeros((count, 3 + channels), np.float64)
    centres = _centres_inside(lines, inside, grid, cells, sums) if len(inside) else _first_centres(image, grid)
    reach = (np.float32(1.25 * rows / grid[0]), np.float32(1.25 * columns / grid[1]))
    widest = min(columns, int(2 * reach[1]) + 2 * LANES)
    spans = (np.empty(count, np.uint64), np.empty(count * widest, np.float32))
    near = (np.empty(count, np.uint64), np.empty(count, np.float32), np.empty(count, np.float32))
    bounds = (np.empty(grid[0], np.float32), np.empty(grid[0], np.float32))
    lists = (np.empty(columns, np.int32), words_for(columns))
    work = (ramp, cells, spans, near, bounds, (np.empty(columns, np.float32), np.empty(widest, np.float32)), lists)
    for sweep in range(sweeps - 1):
        _sweep(view, labels, (centres, sums), (grid, reach, weight), (sweep % stride, stride, True), work)
        _move(centres, sums)
    _sweep(view, labels, (centres, sums), (grid, reach, weight), (0, 1, False), work)


@borrowing
def _sweep(view: Any, labels: Any, nodes: Any, frame: Any, how: Any, work: Any) -> None:
    """Label each stride-th row from the first on; where they are to move the centres, add the rows to their sums."""
    image, lines, inside = view
    centres, sums = nodes
    grid, reach, weight = frame
    first, stride, moving = how
    ramp, cells, spans, near, bounds, (distance, gap), lists = work
    channels, rows, columns = image.shape
    flat = image.reshape(channels, rows * columns)
    _find_bounds(centres, grid, bounds)
    width = find_spans(centres[:, 1], reach[1], weight, ramp, spans)
    for row in range(first, rows, stride):
        line, cell = labels[row], np.int32(row * grid[0] // rows * grid[1])
        for column in range(columns):
            line[column] = cell + cells[column]
            distance[column] = np.inf
        count, origin = _find_near(row, centres, bounds, (grid, reach[0], weight), near), np.uint64(row * columns)
        if channels == 1:
            assign_line(flat[0], origin, (near, count), (spans, width), (distance, line))
        else:
            _assign_channels(flat, origin, centres, (near, count), (spans, width), (distance, line, gap))
        if len(inside):
            _leave_out(inside[row], line)
        if moving:
            _add_runs(lines, line, row, lists, sums)
