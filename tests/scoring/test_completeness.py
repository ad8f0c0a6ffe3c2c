"""medray.scoring.completeness.py: against the same rules in plain Python, on drawn tables with every kind of fault."""

import random
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medray.scoring.completeness import Compared, compare, packed_ids

IDS = [f"{number:032x}" for number in (0, 1, 2**64 - 1, 2**64, 2**127, 2**128 - 1, 10**20, 10**30)]
STRANGE = ["", "x", "g" * 32, IDS[1].upper()[:31] + "Z", IDS[2] + "0"]


def plainly(wanted: dict[str, int], rows: list[tuple[str, str]]) -> Compared:
    """The same by sets and counters: `wanted` frames an object (1 where unreadable), rows of sample and object."""
    good = [(sample, name) for sample, name in rows if len(name) == 32 and name not in STRANGE]
    good = [
        (s, n)
        for s, n in good
        if s == n or (s[:33] == f"{n}:" and len(s) <= 42 and s[33:].isascii() and s[33:].isdigit())
    ]
    by_object: dict[str, list[str]] = {}
    for sample, name in good:
        by_object.setdefault(name, []).append(sample)
    expected = {name: 1 if name in by_object.get(name, ()) else count for name, count in wanted.items()}
    wrong = sum(len(by_object.get(name, ())) != count for name, count in expected.items())
    doubled = sum(count - 1 for count in Counter(good).values())
    unknown = len(set(by_object) - set(wanted)) + len(rows) - len(good)
    return Compared(len(wanted), len(rows), wrong, unknown, doubled)


def tables(
    wanted: dict[str, int], rows: list[tuple[str, str]], slices: int = 2
) -> tuple[list[pa.Table], list[pa.Table]]:
    index = pa.table(
        {
            "object_id": pa.array(list(wanted), pa.string()),
            "frames": pa.array(list(wanted.values()), pa.int32()),
            "status": pa.array(["ok"] * len(wanted), pa.string()),
        }
    )
    found = pa.table(
        {
            "sample_id": pa.array([s for s, _ in rows], pa.string()),
            "object_id": pa.array([n for _, n in rows], pa.string()),
        }
    )
    return tuple([t.slice(0, len(t) // slices), t.slice(len(t) // slices)] for t in (index, found))  # type: ignore[return-value]


SAMPLES = st.tuples(
    st.sampled_from([*IDS, *STRANGE]),
    st.sampled_from(["", ":0", ":1", ":7", ":", ":-1", "0", ":²", "x7", ":" + "9" * 30]),
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(IDS), st.integers(1, 3)),
    st.lists(SAMPLES.map(lambda pair: (pair[0] + pair[1], pair[0])), max_size=30),
)
def test_what_is_wrong_unknown_and_doubled_is_what_plain_python_counts(wanted, rows):
    assert compare(*tables(wanted, rows)) == plainly(wanted, rows)


def test_a_whole_table_in_any_order_differs_in_nothing():
    wanted = dict(zip(IDS, (1, 2, 3, 1, 1, 4, 2, 1), strict=True))
    rows = [(f"{name}:{frame}", name) for name, count in wanted.items() for frame in range(count)]
    random.Random(0).shuffle(rows)
    assert compare(*tables(wanted, rows)) == Compared(8, 15, 0, 0, 0)


def test_an_unreadable_object_of_three_frames_is_one_row_and_an_object_without_frames_one_sample():
    wanted = tables({IDS[0]: 3, IDS[1]: 0}, [(IDS[0], IDS[0]), (f"{IDS[1]}:0", IDS[1])])
    assert compare(*wanted) == Compared(2, 2, 0, 0, 0)


def test_an_object_that_the_index_has_twice_is_doubled():
    [index, rest], found = tables({IDS[0]: 1}, [(f"{IDS[0]}:0", IDS[0])])
    assert compare([index, rest, index, rest], found).doubled == 1


def test_ids_are_two_numbers():
    packed, known = packed_ids(pa.array([f"{5 * 2**64 + 7:032x}", "x", None]))
    assert known.tolist() == [True, False, False]
    assert packed.dtype == np.uint64 and packed.tolist() == [[5, 7], [0, 0], [0, 0]]


def test_a_row_whose_sample_is_of_another_object_is_unknown():
    found = compare(*tables({IDS[0]: 1}, [(f"{IDS[1]}:0", IDS[0])]))
    assert (found.wrong, found.unknown) == (1, 1)


@pytest.mark.parametrize("slices", [1, 2, 5])
def test_slices_change_nothing(slices):
    wanted = dict.fromkeys(IDS, 2)
    rows = [(f"{name}:{frame}", name) for name in IDS[1:] for frame in range(2)]
    assert compare(*tables(wanted, rows, slices)) == Compared(8, 14, 1, 0, 0)
