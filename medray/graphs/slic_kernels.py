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


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _assign_row(values: Any, ramp: Any, distance: Any, labels: Any, number: Any, terms: Any) -> None:
    """One centre against its columns of one row; unsigned numbers of columns let LLVM make vectors of it."""
    middle, offset, row_term, weight, start, end = terms
    for index in range(start, end):
        across = ramp[index - start] + offset
        difference = values[index] - middle
        found = difference * difference + (weight * (across * across) + row_term)
        closer = found < distance[index]
        distance[index] = found if closer else distance[index]
        labels[index] = number if closer else labels[index]


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _add_gap(values: Any, middle: Any, gap: Any) -> None:
    for index in range(len(values)):
        difference = values[index] - middle
        gap[index] += difference * difference


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _assign_gaps(gap: Any, ramp: Any, distance: Any, labels: Any, number: Any, terms: Any) -> None:
    """`_assign_row` for several channels: the squared differences are summed already, and count by their mean."""
    share, offset, row_term, weight = terms
    for index in range(len(gap)):
        across = ramp[index] + offset
        found = gap[index] * share + (weight * (across * across) + row_term)
        closer = found < distance[index]
        distance[index] = found if closer else distance[index]
        labels[index] = number if closer else labels[index]


@numba.njit(nogil=True, cache=True, error_model="numpy")
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


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _assign_near(image: Any, row: int, centres: Any, frame: Any, work: Any) -> None:
    """Every centre near one row against that row."""
    grid, reach, weight = frame
    ramp, distance, labels, spans, low, high, gap = work
    starts, ends, offsets = spans
    share = np.float32(1) / np.float32(image.shape[0])
    for band in range(grid[0]):
        if row < low[band] - reach[0] or row > high[band] + reach[0]:
            continue
        for number in range(band * grid[1], (band + 1) * grid[1]):
            down = np.float32(row) - centres[number, 0]
            if abs(down) > reach[0]:
                continue
            offset, row_term = offsets[number], weight * down * down
            if image.shape[0] == 1:
                terms = (centres[number, 2], offset, row_term, weight, starts[number], ends[number])
                _assign_row(image[0, row], ramp, distance, labels, np.int32(number), terms)
                continue
            start, end = int(starts[number]), int(ends[number])
            gap[: end - start] = 0
            for channel in range(image.shape[0]):
                _add_gap(image[channel, row, start:end], centres[number, 2 + channel], gap)
            near, here, ours = ramp[: end - start], distance[start:end], labels[start:end]
            _assign_gaps(gap[: end - start], near, here, ours, np.int32(number), (share, offset, row_term, weight))


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _find_spans(centres: Any, reach: Any, columns: int, spans: Any) -> None:
    """Columns that each centre reaches, first and end, and how far its middle is before the first of them."""
    starts, ends, offsets = spans
    for number in range(len(starts)):
        if centres[number, 1] > columns:  # infinitely far, where its cell lies outside the mask
            starts[number], ends[number], offsets[number] = 0, 0, 0
            continue
        start = max(0, int(np.ceil(centres[number, 1] - reach)))
        end = min(columns, int(np.floor(centres[number, 1] + reach)) + 1)
        starts[number], ends[number] = start, max(start, end)
        offsets[number] = np.float32(start) - centres[number, 1]


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
    sums = np.zeros((grid[0] * grid[1], 3 + channels), np.float64)
    reach = (np.float32(1.25 * rows / grid[0]), np.float32(1.25 * columns / grid[1]))
    ramp, ends = np.arange(columns).astype(np.float32), np.empty(columns, np.int32)
    distance, gap = np.empty(columns, np.float32), np.empty(columns, np.float32)
    cells = ((ramp + np.float32(0.5)) * grid[1] / columns).astype(np.int32)
    masked = len(inside) > 0
    centres = _centres_inside(lines, inside, grid, cells, sums) if masked else _first_centres(image, grid)
    low, high = np.empty(grid[0], np.float32), np.empty(grid[0], np.float32)
    spans = (np.empty(len(sums), np.uint64), np.empty(len(sums), np.uint64), np.empty(len(sums), np.float32))
    for sweep in range(sweeps):
        last = sweep == sweeps - 1
        for band in range(grid[0]):
            downs = centres[band * grid[1] : (band + 1) * grid[1], 0]
            low[band], high[band] = downs.min(), downs.max()
        _find_spans(centres, reach[1], columns, spans)
        for row in range(0 if last else sweep % stride, rows, 1 if last else stride):
            line = labels[row]
            first = np.int32(row * grid[0] // rows * grid[1])
            for column in range(columns):
                line[column] = first + cells[column]
            distance[:] = np.inf
            _assign_near(image, row, centres, (grid, reach, weight), (ramp, distance, line, spans, low, high, gap))
            if masked:
                _leave_out(inside[row], line)
            if not last:
                _add_runs(lines, line, row, ends, sums)
        if not last:
            _move(centres, sums)
