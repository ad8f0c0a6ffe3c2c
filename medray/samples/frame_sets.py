"""Samples of several frames: the frames of a clip, series or study as one row, with a list of them in a column.

The rows of a unit say which sample each object belongs to (SAMPLE_KEY) and which of its frames are taken (WANTED).
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int64

from medray.image_settings import SampleRecipe
from medray.samples.ids import packed_ids
from medray.samples.series_units import in_series_order
from medray.samples.units import WANTED, Unit, cut_units, decoded_bytes, unit_id

SAMPLE_KEY, KEYED_BY = "sample_key", "keyed_by"
FRAMES = "frame_samples"
"""The column of a sample's frames that are ok, each with all columns of a frame's own sample."""
COUNTS = ("frames_listed", "frames_failed")
KEY_COLUMNS = {"clip": "object_id", "series": "series_key", "study": "study_key"}
GEOMETRY = ("position_mm", "orientation")  # what orders slices, and whoever reads them has no use for
MAX_OBJECTS = 1024  # of a unit, unless one sample has more


def with_sample_keys(index: pa.Table, sample: SampleRecipe) -> pa.Table:
    """Rows of an index with SAMPLE_KEY, and KEYED_BY, the column it comes from: where that is null, the object's id."""
    name = KEY_COLUMNS[sample.of]
    keyed_by = pc.if_else(pc.is_valid(index[name]), name, "object_id")
    key = pc.coalesce(index[name], index["object_id"])
    return index.append_column(SAMPLE_KEY, key).append_column(KEYED_BY, keyed_by)


def frames_of_objects(index: pa.Table) -> Int64[np.ndarray, " rows"]:
    """Frames of each object by its header; one that cannot be read counts as one."""
    readable = pc.equal(index["status"], "ok")
    counted = pc.if_else(readable, pc.max_element_wise(pc.fill_null(index["frames"], 1), 1), 1)
    frames: np.ndarray = counted.to_numpy().astype(np.int64)
    return frames


def sample_slices(
    slices: Iterable[pa.Table], sample: SampleRecipe, *, number: int, first: int, held: int
) -> list[pa.Table]:
    """Some of the parts that the samples of an index fall into by their keys: a sample is never in two.

    Args:
        slices: the rows of the index.
        sample: what a sample is.
        number: of parts in all.
        first: the first part wanted.
        held: parts wanted, in memory together.

    Returns:
        Each part's rows, with SAMPLE_KEY and KEYED_BY.
    """
    found: list[list[pa.Table]] = [[] for _ in range(first, min(first + held, number))]
    for rows in slices:
        keyed = with_sample_keys(rows, sample)
        ids, _ = packed_ids(keyed[SAMPLE_KEY].combine_chunks())
        part = (ids[:, 0] % np.uint64(number)).astype(np.int64)
        for place, tables in enumerate(found):
            tables.append(keyed.filter(pa.array(part == first + place)))
    return [pa.concat_tables(tables) for tables in found]


def cut_samples(index: pa.Table, unit_bytes: int, sample: SampleRecipe) -> Iterator[Unit]:
    """Cut an index into units of whole samples: `cut_units`, where a sample is a frame.

    Args:
        index: its rows, whole samples.
        unit_bytes: the bound of their pixels in memory; a larger sample is a unit of its own.
        sample: what a sample is; which of its frames are taken stands in WANTED.
    """
    if not sample.is_set:
        yield from cut_units(index, unit_bytes)
        return
    rows = _in_sample_order(index if SAMPLE_KEY in index.column_names else with_sample_keys(index, sample))
    rows = rows.drop_columns([name for name in GEOMETRY if name in rows.column_names])
    if not rows.num_rows:
        return
    starts = sample_starts(rows)
    wanted, share = _chosen_frames(rows, starts, sample.frames)
    rows = rows.append_column(WANTED, wanted)
    sizes = np.add.reduceat(decoded_bytes(rows) * share, starts)
    ends = np.append(starts[1:], rows.num_rows)
    ids, etags = rows["object_id"].to_pylist(), rows["etag"].to_pylist()
    first, held = 0, 0.0
    for start, end, size in zip(starts.tolist(), ends.tolist(), sizes, strict=True):
        if start > first and (held + size > unit_bytes or end - first > MAX_OBJECTS):
            yield Unit(unit_id(ids[first:start], etags[first:start]), rows.slice(first, start - first))
            first, held = start, 0.0
        held += size
    yield Unit(unit_id(ids[first:], etags[first:]), rows.slice(first))


def _in_sample_order(rows: pa.Table) -> pa.Table:
    """Samples by their keys; within one in the order of series and slices."""
    rows = in_series_order(rows)
    keys = rows[SAMPLE_KEY].combine_chunks().dictionary_encode()
    rank = np.argsort(pc.sort_indices(keys.dictionary).to_numpy())
    return rows.take(pa.array(np.argsort(rank[keys.indices.to_numpy()], kind="stable")))


def sample_starts(rows: pa.Table) -> Int64[np.ndarray, " samples"]:
    """The first row of each sample, whose rows stand together."""
    if not rows.num_rows:
        return np.zeros(0, np.int64)
    codes = rows[SAMPLE_KEY].combine_chunks().dictionary_encode().indices.to_numpy()
    return np.flatnonzero(np.diff(codes, prepend=-1)).astype(np.int64)


def _chosen_frames(rows: pa.Table, starts: np.ndarray, most: int) -> tuple[pa.Array, np.ndarray]:
    """The frames of each object that its sample takes, and their share of the object's pixels."""
    counts = frames_of_objects(rows)
    readable = pc.equal(rows["status"], "ok").to_numpy()
    there = counts * readable
    wanted: list[list[int]] = [[] for _ in range(rows.num_rows)]
    for start, end in zip(starts, np.append(starts[1:], rows.num_rows), strict=True):
        last = np.cumsum(there[start:end])
        total = int(last[-1])
        taken = min(total, most)
        chosen = (2 * np.arange(taken) + 1) * total // (2 * max(taken, 1))  # the middles of equal parts
        for row, place in zip(np.searchsorted(last, chosen, side="right"), chosen, strict=True):
            before = int(last[row - 1]) if row else 0
            wanted[start + row].append(int(place) - before)
    share: np.ndarray = np.array([len(each) for each in wanted]) / counts
    return pa.array(wanted, pa.list_(pa.int32())), share


def as_samples(frames: pa.Table, rows: pa.Table) -> pa.Table:
    """The frames of a unit as its samples, one row each, with those that are ok in FRAMES.

    A sample with a frame that is ok is ok itself, however many are not: they are counted beside it (COUNTS). One
    without has failed, for the first of its reasons in the alphabet. A sample's decoder is that of its frames where
    they share one; its `row` is its first.

    Args:
        frames: of `prepare_unit`, in the order of the rows.
        rows: the unit's.
    """
    starts = sample_starts(rows)
    owner = np.searchsorted(starts, frames["row"].to_numpy(), side="right") - 1
    outcomes = frames.select(["status", "reason", "decoder", "flags"]).to_pylist()
    members: list[list[dict[str, Any]]] = [[] for _ in starts]
    for number, outcome in zip(owner.tolist(), outcomes, strict=True):
        members[number].append(outcome)
    ok = np.array([outcome["status"] == "ok" for outcome in outcomes], bool)
    listed = np.add.reduceat(frames_of_objects(rows), starts) if len(starts) else np.zeros(0, np.int64)
    keys = rows.select([SAMPLE_KEY, KEYED_BY]).take(pa.array(starts))
    told = [_told(each) for each in members]
    table = pa.table(
        {
            "sample_id": keys[SAMPLE_KEY],
            "row": pa.array(starts, pa.int32()),
            "frame": pa.nulls(len(starts), pa.int32()),
            **{name: pa.array([each[name] for each in told], pa.string()) for name in _TOLD},
            "flags": pa.array([each["flags"] for each in told], pa.list_(pa.string())),
            KEYED_BY: keys[KEYED_BY],
            "frames_listed": pa.array(listed, pa.int32()),
            "frames_failed": pa.array(np.bincount(owner[~ok], minlength=len(starts)), pa.int32()),
        }
    )
    good = frames if ok.all() else frames.filter(pa.array(ok))
    return _with_lists(table, good, np.bincount(owner[ok], minlength=len(starts)))


_TOLD = ("status", "reason", "detail", "decoder")


def _told(members: list[dict[str, Any]]) -> dict[str, Any]:
    good = [member for member in members if member["status"] == "ok"]
    reasons = sorted({str(member["reason"]) for member in members if member["reason"]})
    decoders = {member["decoder"] for member in good}
    flags = {flag for member in members for flag in member["flags"] or ()}
    return {
        "status": "ok" if good else "failed",
        "reason": None if good else reasons[0],
        "detail": None if good else f"none of {len(members)} frames could be used: {', '.join(reasons)}",
        "decoder": decoders.pop() if len(decoders) == 1 else None,
        "flags": sorted(flags),
    }


def frames_of(samples: pa.Table) -> pa.Table:
    """The frames of samples, one row each, sample after sample."""
    column = samples[FRAMES].combine_chunks()
    column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    return pa.Table.from_batches([pa.RecordBatch.from_struct_array(column.flatten())])


def frame_counts(samples: pa.Table) -> Int64[np.ndarray, " samples"]:
    """Frames of each sample that are ok."""
    counts: np.ndarray = pc.fill_null(pc.list_value_length(samples[FRAMES]), 0).to_numpy().astype(np.int64)
    return counts


def with_frames(samples: pa.Table, frames: pa.Table) -> pa.Table:
    """The same samples with other frames in the place of theirs, one for one."""
    return _with_lists(samples.drop_columns([FRAMES]), frames, frame_counts(samples))


def _with_lists(samples: pa.Table, frames: pa.Table, counts: np.ndarray) -> pa.Table:
    frames = frames.combine_chunks()
    columns = [_array(frames[name]) for name in frames.column_names]
    held = pa.StructArray.from_arrays(columns, fields=list(frames.schema.remove_metadata()))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    return samples.append_column(FRAMES, pa.LargeListArray.from_arrays(pa.array(offsets), held))


def _array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.array([], column.type)])
