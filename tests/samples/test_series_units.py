"""The index cut into shards to be: each object once, series whole and in slice order."""

from itertools import groupby

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from medray.samples.series_units import cut_shards, in_series_order
from medray.schema import INDEX

AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def index_of(series: list[int], **columns):
    """Series of so many slices, 700 bytes each at rest, listed from the top down."""
    rows = []
    for number, slices in enumerate(series):
        for slice_number in range(slices):
            row = dict.fromkeys(INDEX.names) | {"object_id": f"{number:03d}-{slice_number:03d}", "length": 700}
            row |= {"uri": f"/x/{slices - slice_number:03d}", "offset": 0, "status": "ok", "format": "dicom"}
            row |= {"patient_key": f"p{number % 3}", "study_key": f"s{number}", "series_key": f"e{number:03d}"}
            row |= {"position_mm": [5.0, 7.0, 2.5 * slice_number], "orientation": AXIAL}
            rows.append(row | {"instance_number": slices - slice_number} | columns)
    return pa.Table.from_pylist(rows, schema=INDEX)


def tar_size(rows):
    return sum(512 + -(-length // 512) * 512 for length in rows["length"].to_pylist())


def shuffled(index, seed):
    return index.take(pa.array(np.random.default_rng(seed).permutation(index.num_rows)))


SERIES = st.lists(st.integers(1, 12), max_size=12)


@settings(max_examples=60, deadline=None)
@given(series=SERIES, seed=st.integers(0, 99), shard_bytes=st.integers(1, 20_000), most=st.integers(1, 40))
def test_each_object_is_in_one_shard_of_at_most_its_bytes(series, seed, shard_bytes, most):
    index = shuffled(index_of(series), seed)
    shards = [unit.rows for unit in cut_shards(index, shard_bytes, most)]
    held = [name for rows in shards for name in rows["object_id"].to_pylist()]
    assert sorted(held) == sorted(index["object_id"].to_pylist())
    for rows in shards:
        assert 1 <= rows.num_rows <= most
        assert rows.num_rows == 1 or tar_size(rows) <= shard_bytes


@settings(max_examples=60, deadline=None)
@given(series=SERIES, shard_bytes=st.integers(1, 20_000))
def test_a_series_that_fits_in_a_shard_is_in_one(series, shard_bytes):
    index = index_of(series)
    places: dict[str, set[int]] = {}
    for number, unit in enumerate(cut_shards(index, shard_bytes)):
        for name in unit.rows["series_key"].to_pylist():
            places.setdefault(name, set()).add(number)
    for number, slices in enumerate(series):
        if slices * (512 + 1024) <= shard_bytes:
            assert len(places[f"e{number:03d}"]) == 1


def test_shards_of_long_archives_are_more_than_half_full():
    shards = list(cut_shards(index_of([3] * 400), 20 * 1536))
    assert all(tar_size(unit.rows) > 10 * 1536 for unit in shards[:-1])


def test_slices_lie_along_their_normal_whatever_the_listing_the_names_and_the_numbers_say():
    ordered = in_series_order(shuffled(index_of([5, 9, 2, 7]), 3)).to_pylist()
    groups = [
        (key, [row["position_mm"][2] for row in rows]) for key, rows in groupby(ordered, lambda r: r["series_key"])
    ]
    assert len(groups) == 4 and all(places == sorted(places) for _, places in groups)
    patients = [name for name, _ in groupby(row["patient_key"] for row in ordered)]
    assert patients == ["p0", "p1", "p2"]


def test_slices_without_a_position_lie_by_their_number():
    index = index_of([6], position_mm=None)
    assert in_series_order(shuffled(index, 1))["instance_number"].to_pylist() == [1, 2, 3, 4, 5, 6]


def test_objects_without_a_series_come_last_as_they_lie_in_the_archive():
    loose = index_of([4], series_key=None, object_id=None).to_pylist()
    for number, row in enumerate(loose):
        row |= {"object_id": f"z{9 - number}", "uri": f"/a/{number}", "patient_key": f"z{9 - number}"}
    index = pa.concat_tables([pa.Table.from_pylist(loose, schema=INDEX), index_of([2])])
    assert in_series_order(shuffled(index, 5))["uri"].to_pylist()[2:] == ["/a/0", "/a/1", "/a/2", "/a/3"]


def test_units_have_the_same_ids_in_every_version_of_this_code():
    assert [unit.unit_id for unit in cut_shards(index_of([3, 2]), 3 * 1536)] == ["87903e101430b3d3", "c2c9fb9e9b3ad053"]


def test_no_rows_give_no_shard():
    assert list(cut_shards(index_of([]), 1000)) == []
