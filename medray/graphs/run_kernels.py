"""Compiled loops on runs, the stretches of one label in one row: where they begin, what they hold, which ones touch.

Most branches here would be taken at random, and a wrong guess costs a processor more than the work behind it: where a
comparison can be added to a count instead, it is.
"""

from typing import Any

import numba
import numpy as np

ONE = np.uint32(1)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def list_changes(here: Any, there: Any, first: int, out: Any) -> Any:
    """Places, counted from `first`, at which two lines of labels differ, into int32 `out`; how many (uint32).

    `out` has as many entries as the lines, or one more than differ: what lies behind the last place is overwritten.
    """
    count = np.uint32(0)
    for index in range(len(here)):
        out[count] = np.int32(first + index)
        count += np.uint32(here[index] != there[index])
    return count


@numba.njit(nogil=True, cache=True, error_model="numpy")
def running_sums(image: Any) -> Any:
    """Sums of the values before each column, float32 (channels, rows, columns) to float64 (…, columns + 1).

    Values whose exponents are less than 2^20 apart are summed without any rounding: the sum of a run is the difference
    of two of these, exactly. Four rows at a time, since each sum waits for the one before it.
    """
    channels, rows, columns = image.shape
    lines = np.empty((channels, rows, columns + 1), np.float64)
    for channel in range(channels):
        for row in range(0, rows, 4):
            second, third, last = min(row + 1, rows - 1), min(row + 2, rows - 1), min(row + 3, rows - 1)
            a = b = c = d = 0.0
            values, sums = image[channel], lines[channel]
            sums[row, 0] = sums[second, 0] = sums[third, 0] = sums[last, 0] = 0.0
            for column in range(columns):
                a += values[row, column]
                b += values[second, column]
                c += values[third, column]
                d += values[last, column]
                sums[row, column + 1], sums[second, column + 1] = a, b
                sums[third, column + 1], sums[last, column + 1] = c, d
    return lines


@numba.njit(nogil=True, cache=True, error_model="numpy")
def find_runs(labels: Any) -> Any:
    """Runs of an int32 (rows, columns) label map.

    Returns:
        Starts (int32, the end of a run is the next one's start, rows * columns at the end, in flat pixel numbers),
        and the number of the first run of each row (int32, one more than rows).
    """
    rows, columns = labels.shape
    count = rows
    for row in range(rows):
        line = labels[row]
        changes = 0
        for column in range(1, columns):
            changes += line[column] != line[column - 1]
        count += changes
    starts = np.empty(count + 1, np.int32)
    first = np.empty(rows + 1, np.int32)
    run = np.uint32(0)
    for row in range(rows):
        first[row], starts[run] = run, row * columns
        run += ONE
        run += list_changes(labels[row, :-1], labels[row, 1:], row * columns + 1, starts[run:])
    first[rows], starts[run] = run, rows * columns
    return starts, first


@numba.njit(nogil=True, cache=True, error_model="numpy")
def meet(runs: Any, lines: Any, columns: int, contacts: Any, count: Any) -> Any:
    """Write the pairs of runs of two lines that touch.

    Args:
        runs: of `find_runs`.
        lines: numbers of the two lines, the earlier one first.
        columns: of a line.
        contacts: int32 (contacts, 2), out: a run of the first line, and one of the second.
        count: uint32, how many contacts there are already.

    Returns:
        How many there are now.
    """
    starts, first = runs
    one, other = lines
    shift = (other - one) * columns
    above, below = np.uint32(first[one]), np.uint32(first[other])
    end_one, end_other = np.uint32(first[one + 1]), np.uint32(first[other + 1])
    while above < end_one and below < end_other:
        contacts[count, 0], contacts[count, 1] = above, below
        count += ONE
        end_above, end_below = starts[above + ONE] + shift, starts[below + ONE]
        above += np.uint32(end_above <= end_below)
        below += np.uint32(end_below <= end_above)
    return count


@numba.njit(nogil=True, cache=True, error_model="numpy")
def find_contacts(starts: Any, first: Any, columns: int) -> Any:
    """Pairs of runs that touch from row to row: int32 (contacts, 2), upper run and lower run."""
    contacts = np.empty((2 * (len(starts) - 1), 2), np.int32)
    count = np.uint32(0)
    for row in range(1, len(first) - 1):
        count = meet((starts, first), (row - 1, row), columns, contacts, count)
    return contacts[:count]
