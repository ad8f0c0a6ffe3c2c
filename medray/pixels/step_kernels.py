"""Compiled loops of the recipe's optional steps. They release the GIL and take C-contiguous arrays."""

from typing import Any

import numba
import numpy as np


@numba.njit(nogil=True, cache=True)
def median(plane: Any, mask: Any, reach: int, out: Any) -> None:
    """Median of the real pixels within `reach` rows and columns; what is not real keeps its value."""
    rows, columns = plane.shape
    window = np.empty((2 * reach + 1) ** 2, np.float32)
    for row in range(rows):
        top, bottom = max(row - reach, 0), min(row + reach + 1, rows)
        for column in range(columns):
            if not mask[row, column]:
                out[row, column] = plane[row, column]
                continue
            count = 0
            for near_row in range(top, bottom):
                for near_column in range(max(column - reach, 0), min(column + reach + 1, columns)):
                    if mask[near_row, near_column]:
                        value = plane[near_row, near_column]
                        place = count
                        while place > 0 and window[place - 1] > value:
                            window[place] = window[place - 1]
                            place -= 1
                        window[place] = value
                        count += 1
            middle = window[count // 2]
            out[row, column] = middle if count % 2 else (middle + window[count // 2 - 1]) * np.float32(0.5)


@numba.njit(nogil=True, cache=True)
def box_sums(values: Any, reach: int, line: Any, out: Any) -> None:
    """Sums over the (2 reach + 1)^2 pixels around each pixel that lie within the image; `line` is as long as a row."""
    rows, columns = values.shape
    for row in range(rows):
        line[:] = 0
        for near in range(max(row - reach, 0), min(row + reach + 1, rows)):
            source = values[near]
            for column in range(columns):
                line[column] += source[column]
        target = out[row]
        target[:] = 0
        for step in range(-reach, reach + 1):
            first, end = max(-step, 0), min(columns - step, columns)
            shifted = line[first + step : end + step]
            part = target[first:end]
            for column in range(part.size):
                part[column] += shifted[column]


@numba.njit(nogil=True, cache=True)
def _differences(planes: Any, mask: Any, down: int, right: int, squares: Any, pairs: Any) -> None:
    """Mean over planes of each pixel's squared difference from that `down` and `right` of it, where both are real."""
    rows, columns = mask.shape
    first, end = max(-right, 0), min(columns - right, columns)
    share = np.float32(1 / len(planes))
    squares[:] = 0
    pairs[:] = 0
    for row in range(rows - down):
        for column in range(first, end):
            if mask[row, column] and mask[row + down, column + right]:
                pairs[row, column] = 1
                for plane in range(len(planes)):
                    difference = planes[plane, row, column] - planes[plane, row + down, column + right]
                    squares[row, column] += difference * difference * share


@numba.njit(nogil=True, cache=True)
def non_local_means(planes: Any, mask: Any, reaches: tuple[int, int], noise: float, strength: float, out: Any) -> None:
    """Each real pixel becomes the mean of the real pixels near it, weighted by how alike their patches are.

    The weight is exp(-max(d - 2 noise^2, 0) / strength^2), d being the mean squared difference of two patches; planes
    share their weights.

    Args:
        planes: float32 (planes, rows, columns).
        mask: where a pixel is real.
        reaches: half sides of a patch and of the search window, without the middle.
        noise: standard deviation.
        strength: as a standard deviation.
        out: as planes.
    """
    patch, search = reaches
    rows, columns = mask.shape
    squares, pairs = np.empty(mask.shape, np.float32), np.empty(mask.shape, np.float32)
    distances, counts = np.empty(mask.shape, np.float32), np.empty(mask.shape, np.float32)
    line, total = np.empty(columns, np.float32), np.ones(mask.shape, np.float32)
    twice, scale = np.float32(2 * noise * noise), np.float32(-1 / (strength * strength))
    out[:] = planes
    for down in range(search + 1):
        for right in range(1 if down == 0 else -search, search + 1):
            _differences(planes, mask, down, right, squares, pairs)
            box_sums(squares, patch, line, distances)
            box_sums(pairs, patch, line, counts)
            for row in range(rows - down):
                for column in range(max(-right, 0), min(columns - right, columns)):
                    if pairs[row, column] == 0:
                        continue
                    excess = distances[row, column] / counts[row, column] - twice
                    weight = np.exp(scale * max(excess, np.float32(0)))
                    total[row, column] += weight
                    total[row + down, column + right] += weight
                    for plane in range(len(planes)):
                        out[plane, row, column] += weight * planes[plane, row + down, column + right]
                        out[plane, row + down, column + right] += weight * planes[plane, row, column]
    for plane in range(len(planes)):
        out[plane] /= total


@numba.njit(nogil=True, cache=True)
def tile_histograms(bins: Any, mask: Any, row_cuts: Any, column_cuts: Any, out: Any) -> None:
    """Real pixels of each tile and whole bin, all planes together; `out` is (tiles, tiles, bins) and starts at 0."""
    for plane in range(len(bins)):
        for down in range(len(row_cuts) - 1):
            for across in range(len(column_cuts) - 1):
                histogram = out[down, across]
                for row in range(row_cuts[down], row_cuts[down + 1]):
                    for column in range(column_cuts[across], column_cuts[across + 1]):
                        if mask[row, column]:
                            histogram[min(int(bins[plane, row, column]), histogram.size - 1)] += 1


@numba.njit(nogil=True, cache=True)
def _level(curve: Any, place: Any) -> Any:
    """The curve between its points."""
    whole = min(int(place), curve.size - 2)
    return curve[whole] + (curve[whole + 1] - curve[whole]) * (place - np.float32(whole))


@numba.njit(nogil=True, cache=True)
def equalise(bins: Any, mask: Any, curves: Any, held: Any, out: Any) -> None:
    """Each real pixel by the curves of the four tiles around it, bilinearly; tiles without pixels do not count.

    Args:
        bins: float32 (planes, rows, columns), in bins.
        mask: where a pixel is real.
        curves: float32 (tiles, tiles, bins + 1).
        held: real pixels of each tile.
        out: as bins; what is not real is left alone.
    """
    rows, columns = mask.shape
    down, across = held.shape
    for row in range(rows):
        row_place = min(max((row + 0.5) * down / rows - 0.5, 0.0), down - 1.0)
        top = min(int(row_place), max(down - 2, 0))
        low = min(top + 1, down - 1)
        for column in range(columns):
            if not mask[row, column]:
                continue
            column_place = min(max((column + 0.5) * across / columns - 0.5, 0.0), across - 1.0)
            left = min(int(column_place), max(across - 2, 0))
            right = min(left + 1, across - 1)
            to_low, to_right = row_place - top, column_place - left
            for plane in range(len(bins)):
                place, total, weights = bins[plane, row, column], 0.0, 0.0
                for corner in range(4):
                    tile_row, tile_column = low if corner // 2 else top, right if corner % 2 else left
                    if held[tile_row, tile_column] > 0:
                        weight = to_low if corner // 2 else 1 - to_low
                        weight *= to_right if corner % 2 else 1 - to_right
                        weights += weight
                        total += weight * _level(curves[tile_row, tile_column], place)
                out[plane, row, column] = total / weights
