"""The index cut into units: bounded, stable, and independent of the listing's order."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from medray.samples.units import cut_units, decoded_bytes, in_reading_order
from medray.schema import INDEX


def index_of(count, seed=0, **columns):
    """An index of `count` images: a third of them in two shards, the others in three series."""
    draw = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        member = number % 3 == 0
        row = dict.fromkeys(INDEX.names)
        row |= {
            "object_id": f"{number:04x}",
            "etag": f"e{number}",
            "status": "ok",
            "length": int(draw.integers(1, 500)),
        }
        row |= {"uri": f"shard-{number % 2}" if member else f"loose-{number}", "offset": 512 * number}
        row |= {"member": f"m{number}" if member else None, "series_key": None if member else f"s{number % 4}"}
        row |= {"rows": int(draw.integers(1, 40)), "columns": 10, "frames": 1, "samples_per_pixel": 1}
        rows.append(row | {"bits_allocated": 16} | columns)
    return pa.Table.from_pylist(rows, schema=INDEX)


def shuffled(index, seed):
    return index.take(pa.array(np.random.default_rng(seed).permutation(index.num_rows)))


def cut(index, unit_bytes=2000, **more):
    return [(unit.unit_id, unit.rows["object_id"].to_pylist()) for unit in cut_units(index, unit_bytes, **more)]


@settings(max_examples=40, deadline=None)
@given(count=st.integers(0, 60), seed=st.integers(0, 99), unit_bytes=st.integers(1, 5000), most=st.integers(1, 20))
def test_units_hold_every_object_once_within_their_bounds(count, seed, unit_bytes, most):
    index = index_of(count, seed)
    units = list(cut_units(index, unit_bytes, max_rows=most))
    held = [name for unit in units for name in unit.rows["object_id"].to_pylist()]
    assert sorted(held) == sorted(index["object_id"].to_pylist())
    for unit in units:
        assert 1 <= unit.rows.num_rows <= most
        assert unit.rows.num_rows == 1 or decoded_bytes(unit.rows).sum() <= unit_bytes


@settings(max_examples=20, deadline=None)
@given(count=st.integers(0, 60), seed=st.integers(1, 99))
def test_units_do_not_depend_on_the_order_of_the_listing(count, seed):
    index = index_of(count)
    assert cut(index) == cut(shuffled(index, seed))


def test_units_have_the_same_ids_in_every_version_of_this_code():
    assert [name for name, _ in cut(index_of(6), unit_bytes=10**9)] == ["3b65db476e6f2d0c"]


def test_a_changed_object_changes_its_units_id_only():
    index = index_of(40)
    changed = index.set_column(
        index.column_names.index("etag"), "etag", pa.array(["new", *index["etag"].to_pylist()[1:]])
    )
    before, after = dict(cut(index)), dict(cut(changed))
    assert len(before.keys() - after.keys()) == len(after.keys() - before.keys()) == 1
    [name] = before.keys() - after.keys()
    assert "0000" in before[name]


def test_unit_ids_are_unique():
    ids = [name for name, _ in cut(index_of(200), unit_bytes=300)]
    assert len(set(ids)) == len(ids) > 20


def test_members_of_a_shard_lie_together_by_offset_and_loose_objects_by_series():
    ordered = in_reading_order(shuffled(index_of(40), 1))
    groups = [row["uri"] if row["member"] else row["series_key"] for row in ordered.to_pylist()]
    changes = sum(left != right for left, right in pairwise(groups))
    assert changes == len(set(groups)) - 1
    for shard in ("shard-0", "shard-1"):
        offsets = [row["offset"] for row in ordered.to_pylist() if row["uri"] == shard]
        assert offsets == sorted(offsets)


def test_decoded_bytes_are_rows_columns_frames_samples_times_the_sample_size():
    index = index_of(1, rows=10, columns=20, frames=3, samples_per_pixel=3, bits_allocated=16, length=5)
    assert decoded_bytes(index).tolist() == [10 * 20 * 3 * 3 * 2]


def test_an_object_without_a_readable_header_counts_with_its_stored_length():
    nothing = dict.fromkeys(("rows", "columns", "frames", "samples_per_pixel", "bits_allocated"))
    assert decoded_bytes(index_of(1, **nothing, length=700)).tolist() == [700]


def test_a_header_that_claims_the_impossible_is_a_unit_of_its_own():
    index = pa.concat_tables([index_of(3), index_of(1, rows=2**31 - 1, columns=2**31 - 1, object_id="ffff")])
    assert ["ffff"] in [names for _, names in cut(index, unit_bytes=10**6)]
