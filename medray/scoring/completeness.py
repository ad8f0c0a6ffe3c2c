"""Is each sample there once? An index and predictions compared as sorted numbers, 20 bytes a row."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Int32, Int64

from medray.samples.ids import ID_DIGITS, Ids, packed_ids

FRAME_DIGITS = 9  # at the most
WHOLE = -1  # in the place of a frame: one row stands for the whole object, no frame could be counted

_EMPTY = pa.schema(
    [("object_id", pa.string()), ("sample_id", pa.string()), ("frames", pa.int32()), ("status", pa.string())]
).empty_table()


@dataclass(frozen=True)
class Compared:
    """How predictions differ from what an index wants.

    Attributes:
        objects: that the index wants.
        rows: of the predictions.
        wrong: objects with another number of rows than wanted; those that are missing are among them.
        unknown: objects that the index does not have, and rows without an id of an object.
        doubled: rows of a sample that has one already, in either table.
    """

    objects: int
    rows: int
    wrong: int
    unknown: int
    doubled: int


def compare(wanted: Iterable[pa.Table], found: Iterable[pa.Table]) -> Compared:
    """Compare the rows of each object with what the index says of it: its frames, or one row where it is unreadable.

    Args:
        wanted: `object_id`, `frames` and `status` of an index, without what it skipped, a slice at a time.
        found: `sample_id` and `object_id` of predictions, a slice at a time.
    """
    ids, frames = _joined(_wanted(table) for table in chain([_EMPTY], wanted))
    found_ids, found_frames, strange = _joined(_found(table) for table in chain([_EMPTY], found))
    order = np.lexsort((found_frames, found_ids[:, 1], found_ids[:, 0]))
    found_ids, found_frames = found_ids[order], found_frames[order]
    starts = np.flatnonzero(_begins(found_ids))
    counts = np.diff(starts, append=len(found_ids))
    whole = np.minimum.reduceat(found_frames, starts) == WHOLE if len(starts) else np.zeros(0, bool)
    again = ~_begins(found_ids)[1:] & (found_frames[1:] == found_frames[:-1])
    order = np.lexsort((ids[:, 1], ids[:, 0]))
    ids, frames = ids[order], frames[order]
    twice = ~_begins(ids)
    matched, place = _places(ids, found_ids[starts])
    expected = np.where(whole[matched], 1, frames[place])
    missing = len(ids) - len(place)
    return Compared(
        objects=len(ids),
        rows=len(found_ids) + int(strange.sum()),
        wrong=missing + int((counts[matched] != expected).sum()),
        unknown=int((~matched).sum() + strange.sum()),
        doubled=int(again.sum() + twice.sum()),
    )


def _wanted(table: pa.Table) -> tuple[Ids, Int32[np.ndarray, " rows"]]:
    frames = pc.if_else(pc.equal(table["status"], "ok"), pc.max_element_wise(table["frames"], 1), 1)
    ids, _ = packed_ids(table["object_id"].combine_chunks())
    return ids, frames.to_numpy().astype(np.int32)


def _found(table: pa.Table) -> tuple[Ids, Int32[np.ndarray, " known"], Bool[np.ndarray, " rows"]]:
    """Ids and frames of the rows that have them; which rows are strange."""
    objects, samples = (table[name].combine_chunks() for name in ("object_id", "sample_id"))
    ids, known = packed_ids(objects)
    rest = pc.utf8_slice_codeunits(samples, ID_DIGITS + 1)
    frame = pc.and_(pc.ascii_is_decimal(rest), pc.less_equal(pc.binary_length(rest), FRAME_DIGITS))
    whole = pc.equal(samples, objects)
    of_object = pc.equal(
        pc.utf8_slice_codeunits(samples, 0, ID_DIGITS + 1), pc.binary_join_element_wise(objects, "", ":")
    )
    good = known & pc.or_(pc.and_(of_object, frame), whole).fill_null(False).to_numpy(zero_copy_only=False)
    frames = pc.if_else(frame, rest, str(WHOLE)).cast(pa.int32()).to_numpy(zero_copy_only=False)
    return ids[good], frames[good], ~good


def _joined(arrays: Iterable[tuple[np.ndarray, ...]]) -> list[np.ndarray]:
    return [np.concatenate(each) for each in zip(*arrays, strict=True)]


def _begins(ids: Ids) -> Bool[np.ndarray, " rows"]:
    """Of sorted ids, which are not those of the row before."""
    begins = np.ones(len(ids), bool)
    begins[1:] = (ids[1:] != ids[:-1]).any(axis=1)
    return begins


def _places(ids: Ids, others: Ids) -> tuple[Bool[np.ndarray, " others"], Int64[np.ndarray, " matched"]]:
    """Which of `others` are among `ids`, and where; both are sorted, `others` without doubles."""
    both = np.concatenate([ids, others])
    order = np.lexsort((np.arange(len(both)) >= len(ids), both[:, 1], both[:, 0]))
    follows = ~_begins(both[order])
    other = order >= len(ids)
    hits = np.flatnonzero(other & follows)
    matched = np.zeros(len(others), bool)
    matched[order[hits] - len(ids)] = True
    return matched, order[hits - 1]
