"""Compiled loops on runs, the stretches of one label in one row: where they begin, what they hold, which ones touch.

Most branches here would be taken at random, and a wrong guess costs a processor more than the work behind it: where a
comparison can be added to a count instead, it is.
"""

from typing import Any

import numpy as np

from medray.graphs.compiled import borrowing, kernel

ONE = np.uint32(1)


@kernel
def words_for(columns: int) -> Any:
    """What `list_changes` works in for lines of up to that many labels: a byte for each, uint64 (words,)."""
    return np.empty((columns + 7) // 8, np.uint64)


@borrowing
def list_changes(here: Any, there: Any, first: int, out: Any, words: Any) -> Any:
    """Places, counted from `first`, at which two lines of labels differ, into int32 `out`; how many (uint32).

    They are marked first, a vector at a time; then eight without a mark are passed at once. `out` has one entry more
    than differ, or one for each label: what lies behind the last place is overwritten.
    """
    count, length, marks = np.uint32(0), np.uint32(len(here)), words.view(np.uint8)
    used = (length + np.uint32(7)) // np.uint32(8)
    for index in range(length):
        marks[index] = here[index] != there[index]
    for index in range(length, used * np.uint32(8)):
        marks[index] = 0
    for word in range(used):
        if words[word]:
            for index in range(word * np.uint32(8), word * np.uint32(8) + np.uint32(8)):
                out[count] = np.int32(first + index)
                count += np.uint32(marks[index])
    return count


@kernel
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


@kernel
def find_runs(labels: Any) -> Any:
    """Runs of an int32 (rows, columns) label map.

    Returns:
        Starts (int32, the end of a run is the next one's start, rows * columns at the end, in flat pixel numbers),
        and the number of the first run of each row (int32, one more than rows).
    """
    rows, columns = labels.shape
    starts, first = np.empty(labels.size + 1, np.int32), np.empty(rows + 1, np.int32)
    return starts[: _list_runs(labels, starts, first, words_for(columns)) + ONE], first


@borrowing
def _list_runs(labels: Any, starts: Any, first: Any, words: Any) -> Any:
    """Starts of runs and first runs of rows; how many runs there are (uint32)."""
    rows, columns = labels.shape
    run = np.uint32(0)
    for row in range(rows):
        first[row], starts[run] = run, row * columns
        run += ONE
        run += list_changes(labels[row, 1:], labels[row, :-1], row * columns + 1, starts[run:], words)
    first[rows], starts[run] = run, rows * columns
    return run


@borrowing
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


@kernel
def find_contacts(starts: Any, first: Any, columns: int) -> Any:
    """Pairs of runs that touch from row to row: int32 (contacts, 2), upper run and lower run."""
    contacts = np.empty((2 * (len(starts) - 1), 2), np.int32)
    count = np.uint32(0)
    for row in range(1, len(first) - 1):
        count = meet((starts, first), (row - 1, row), columns, contacts, count)
    return contacts[:count]
