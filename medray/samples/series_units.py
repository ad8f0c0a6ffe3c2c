"""The index cut into shards to be: series together and whole, slices in their order."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medray.samples.units import Unit, unit_id

BLOCK = 512  # a tar's member has a header of that size, and ends on a multiple of it
MAX_OBJECTS = 100_000
PLACE_DIGITS = 2  # of mm: slices at one place may differ by rounding


def in_series_order(index: pa.Table) -> pa.Table:
    """Rows by patient, study and series; within a series along the slice normal, then by number.

    Objects without a series come last, as they lie in the archive. No listing order can change it.
    """
    series = index["series_key"]
    known = pc.is_valid(series)
    keys = pa.table(
        {
            "patient": pc.if_else(known, index["patient_key"], None),
            "study": pc.if_else(known, index["study_key"], None),
            "series": series,
            "place": _places(index),
            "acquisition": index["acquisition_number"],
            "instance": index["instance_number"],
            **{name: index[name] for name in ("uri", "offset", "object_id")},
        }
    )
    return index.take(pc.sort_indices(keys, [(name, "ascending") for name in keys.column_names]))


def _places(index: pa.Table) -> np.ndarray:
    """Where each slice lies along its normal, in mm; NaN where the header does not say. PS3.3 C.7.6.2.1.1."""
    row, column = (_vectors(index["orientation"], first) for first in (0, 3))
    along: np.ndarray = np.einsum("ij,ij->i", _vectors(index["position_mm"], 0), np.cross(row, column))
    return along.round(PLACE_DIGITS)


def _vectors(lists: pa.ChunkedArray, first: int) -> np.ndarray:
    """Three numbers of each list, (rows, 3); NaN where there is none."""
    parts = [pc.list_element(lists, first + n) for n in range(3)]
    return np.column_stack([pc.fill_null(part, np.nan).to_numpy() for part in parts])


def cut_shards(index: pa.Table, shard_bytes: int, max_objects: int = MAX_OBJECTS) -> Iterator[Unit]:
    """Cut an index into units that each fill a tar of about `shard_bytes`.

    A series that fits in a shard is never split: the shard before it ends early. A larger one is cut between its
    objects, and an object larger than a shard is a shard of its own.

    Args:
        index: rows of an index.
        shard_bytes: bound of the tar, its headers included.
        max_objects: of a shard.
    """
    index = in_series_order(index)
    ends = np.cumsum(BLOCK + -(-pc.fill_null(index["length"], 0).to_numpy() // BLOCK) * BLOCK)
    starts = np.concatenate([[0], ends])
    ids, etags = index["object_id"].to_pylist(), index["etag"].to_pylist()

    def fits(first: int, end: int) -> bool:
        return bool(starts[end] - starts[first] <= shard_bytes) and end - first <= max_objects

    first = end = 0
    for series_end in _series_ends(index):
        if first < end and not fits(first, series_end):
            yield Unit(unit_id(ids[first:end], etags[first:end]), index.slice(first, end - first))
            first = end
        while not fits(first, series_end) and series_end - first > 1:
            bound = np.searchsorted(starts, starts[first] + shard_bytes, side="right") - 1
            end = int(min(max(bound, first + 1), first + max_objects))
            yield Unit(unit_id(ids[first:end], etags[first:end]), index.slice(first, end - first))
            first = end
        end = series_end
    if first < end:
        yield Unit(unit_id(ids[first:end], etags[first:end]), index.slice(first, end - first))


def _series_ends(index: pa.Table) -> list[int]:
    """Where each series ends; an object without one is its own."""
    series = index["series_key"].to_pylist()
    return [
        row + 1 for row, name in enumerate(series) if name is None or row + 1 == len(series) or series[row + 1] != name
    ]
