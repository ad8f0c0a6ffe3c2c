"""The index cut into units: instances that lie together, one read task, one block, one part file each."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

WANTED = "wanted_frames"
"""A column of a unit's rows: the frames of each object that are read; a null among them = all of it."""
ORDER = [("group", "ascending"), ("uri", "ascending"), ("offset", "ascending"), ("object_id", "ascending")]


@dataclass(frozen=True)
class Unit:
    """Rows of the index that are read, prepared and written together."""

    unit_id: str
    rows: pa.Table


def decoded_bytes(index: pa.Table) -> np.ndarray:
    """Bytes of each object's pixels in memory, by its header (a bad header counts as its stored length)."""
    factors = [
        pc.fill_null(index[name], 1).to_numpy().astype(np.float64)
        for name in ("rows", "columns", "frames", "samples_per_pixel")
    ]
    bits = pc.fill_null(index["bits_allocated"], 8).to_numpy() / 8
    size: np.ndarray = np.prod(factors, axis=0) * np.maximum(bits, 1)
    bounded: np.ndarray = np.maximum(np.minimum(size, 2.0**40), pc.fill_null(index["length"], 0).to_numpy())
    return bounded


def in_reading_order(index: pa.Table) -> pa.Table:
    """Members of a shard together, loose objects by series: an order that no listing can change."""
    loose = pc.is_null(index["member"])
    group = pc.if_else(loose, pc.fill_null(index["series_key"], ""), index["uri"])
    return index.append_column("group", group).sort_by(ORDER).drop_columns(["group"])


def cut_units(index: pa.Table, unit_bytes: int, max_rows: int = 1024) -> Iterator[Unit]:
    """Cut an index into units of at most `unit_bytes` and `max_rows` objects.

    A unit's id is a hash of its objects and their entity tags: the same archive gives the same units on any machine.

    Args:
        index: rows of an index.
        unit_bytes: the bound of their pixels in memory; a larger object is a unit of its own.
        max_rows: objects at the most.
    """
    index = in_reading_order(index)
    sizes = decoded_bytes(index)
    ids, etags = index["object_id"].to_pylist(), index["etag"].to_pylist()
    start, held = 0, 0.0
    for row, added in enumerate(sizes):
        if row > start and (held + added > unit_bytes or row - start >= max_rows):
            yield Unit(unit_id(ids[start:row], etags[start:row]), index.slice(start, row - start))
            start, held = row, 0.0
        held += added
    if len(sizes) > start:
        yield Unit(unit_id(ids[start:], etags[start:]), index.slice(start))


def unit_id(ids: list[str], etags: list[str | None]) -> str:
    """16 hexadecimal digits of objects and their entity tags."""
    return hashlib.sha256(repr((ids, etags)).encode()).hexdigest()[:16]
