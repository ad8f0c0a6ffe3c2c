"""Compiled loops of SLIC on images of one or several channels: blur, assignment and update of the centres.

No fastmath: sums keep their order and nothing is fused, so that the same image gives the same labels on every machine.
Every function takes C-contiguous writeable arrays of one type each, so that it has one signature and one cache entry:
processes that compile at the same time write the same file.

Source: Achanta et al. 2012, SLIC superpixels, doi:10.1109/TPAMI.2012.120.
"""

from typing import Any

import numba
import numpy as np

from medray.graphs.run_kernels import ONE, list_changes

LARGEST = np.finfo(np.float32).max
LANES = 8
"""Float32 values in a vector of AVX2."""


@numba.njit(nogil=True, cache=True, error_model="numpy")
def mean_of_channels(image: Any, out: Any) -> Any:
    """Mean over the channels of a float32 (channels, rows * columns) image.

    Returns:
        How many values of the result are not finite.
    """
    bad = np.int32(0)
    count = np.float32(image.shape[0])
    out[:] = 0
    for channel in range(image.shape[0]):
        plane = image[channel]
        for index in range(len(plane)):
            out[index] += plane[index]
    for index in range(len(out)):
        out[index] /= count
        bad += np.int32(0) if abs(out[index]) <= LARGEST else np.int32(1)
    return bad


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _add_scaled(line: Any, before: Any, after: Any, weight: Any) -> None:
    for index in range(len(line)):
        line[index] += weight * (before[index] + after[index])


@numba.njit(nogil=True, cache=True, error_model="numpy")
def blur(image: Any, weights: Any, out: Any) -> None:
    """Separable symmetric filter; the image goes on at its edges with its last value.

    Args:
        image: float32 (rows, columns).
        weights: float32, of distance 0, 1, 2 …: the right half of the filter.
        out: the same shape as image, another array.
    """
    rows, columns = image.shape
    radius = len(weights) - 1
    line = np.empty(columns + 2 * radius, np.float32)
    inner = line[radius : radius + columns]
    for row in range(rows):
        inner[:] = 0
        for step in range(radius + 1):
            weight = weights[step] if step else weights[0] * np.float32(0.5)
            _add_scaled(inner, image[max(row - step, 0)], image[min(row + step, rows - 1)], weight)
        line[:radius] = inner[0]
        line[radius + columns :] = inner[columns - 1]
        target = out[row]
        target[:] = 0
        for step in range(radius + 1):
            weight = weights[step] if step else weights[0] * np.float32(0.5)
            before, after = line[radius - step : radius - step + columns], line[radius + step : radius + step + columns]
            _add_scaled(target, before, after, weight)


@numba.njit(inline="always")
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


@numba.njit(inline="always")
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
    numbers, middles, terms, count = near
    starts, squares, width = spans
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


@numba.njit(inline="always")
def _assign_channels(image: Any, origin: Any, centres: Any, near: Any, spans: Any, out: Any) -> None:
    """`assign_line` for several channels, float32 (channels, pixels), whose squared differences count by their mean."""
    numbers, _, terms, count = near
    starts, squares, width = spans
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


@numba.njit(inline="always")
def _add_runs(lines: Any, labels: Any, row: int, ends: Any, sums: Any) -> None:
    """Add one row to the sums (count, row, column, each channel's values) of its labels, run by run.

    Args:
        lines: of `running_sums`.
        labels: of the row.
        row: its number.
        ends: int32 (columns,), to work in.
        sums: in and out.
    """
    count = list_changes(labels[1:], labels[:-1], 1, ends)
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


@numba.njit(inline="always")
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


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _move(centres: Any, sums: Any) -> None:
    """Centres to the means of their pixels; one without pixels stays where it is."""
    for number in range(centres.shape[0]):
        count = sums[number, 0]
        if count > 0:
            for part in range(centres.shape[1]):
                centres[number, part] = np.float32(sums[number, part + 1] / count)
    sums[:] = 0


@numba.njit(nogil=True, cache=True, error_model="numpy")
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


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _centres_inside(lines: Any, inside: Any, grid: Any, cells: Any, sums: Any) -> Any:
    """Means of what each cell has inside the mask. Of cells that lie half outside the others take what they reach."""
    rows, columns = inside.shape
    line, ends = np.empty(columns, np.int32), np.empty(columns, np.int32)
    for row in range(rows):
        first = np.int32(row * grid[0] // rows * grid[1])
        for column in range(columns):
            line[column] = first + cells[column] if inside[row, column] else np.int32(-1)
        _add_runs(lines, line, row, ends, sums)
    half = rows * columns / (2 * sums.shape[0])
    for number in range(sums.shape[0]):
        sums[number, 0] = sums[number, 0] if sums[number, 0] >= half else 0.0
    centres = np.full((sums.shape[0], sums.shape[1] - 1), np.inf, np.float32)  # no pixel reaches these
    _move(centres, sums)
    return centres


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _leave_out(inside: Any, labels: Any) -> None:
    for column in range(len(labels)):
        labels[column] = labels[column] if inside[column] else np.int32(-1)


@numba.njit(nogil=True, cache=True, error_model="numpy")
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
    flat, masked = image.reshape(channels, rows * columns), len(inside) > 0
    sums = np.zeros((grid[0] * grid[1], 3 + channels), np.float64)
    ramp, ends = np.arange(columns).astype(np.float32), np.empty(columns, np.int32)
    cells = ((ramp + np.float32(0.5)) * grid[1] / columns).astype(np.int32)
    centres = _centres_inside(lines, inside, grid, cells, sums) if masked else _first_centres(image, grid)
    reach = (np.float32(1.25 * rows / grid[0]), np.float32(1.25 * columns / grid[1]))
    low, high = np.empty(grid[0], np.float32), np.empty(grid[0], np.float32)
    widest = min(columns, int(2 * reach[1]) + 2 * LANES)
    starts, squares = np.empty(len(sums), np.uint64), np.empty(len(sums) * widest, np.float32)
    numbers, middles, terms = np.empty_like(starts), np.empty(len(sums), np.float32), np.empty(len(sums), np.float32)
    distance, gap = np.empty(columns, np.float32), np.empty(widest, np.float32)
    for sweep in range(sweeps):
        last = sweep == sweeps - 1
        for band in range(grid[0]):
            downs = centres[band * grid[1] : (band + 1) * grid[1], 0]
            low[band], high[band] = downs.min(), downs.max()
        width = find_spans(centres[:, 1], reach[1], weight, ramp, (starts, squares))
        for row in range(0 if last else sweep % stride, rows, 1 if last else stride):
            line, first = labels[row], np.int32(row * grid[0] // rows * grid[1])
            for column in range(columns):
                line[column] = first + cells[column]
                distance[column] = np.inf
            count = _find_near(row, centres, (low, high), (grid, reach[0], weight), (numbers, middles, terms))
            near, spans, origin = (numbers, middles, terms, count), (starts, squares, width), np.uint64(row * columns)
            if channels == 1:
                assign_line(flat[0], origin, near, spans, (distance, line))
            else:
                _assign_channels(flat, origin, centres, near, spans, (distance, line, gap))
            if masked:
                _leave_out(inside[row], line)
            if not last:
                _add_runs(lines, line, row, ends, sums)
        if not last:
            _move(centres, sums)
