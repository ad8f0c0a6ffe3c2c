"""What the predictions of samples of several frames have beside those of frames."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medray.image_settings import SampleRecipe
from medray.samples.frame_sets import (
    KEYED_BY,
    SAMPLE_KEY,
    frame_counts,
    frames_of,
    frames_of_objects,
    sample_starts,
    with_sample_keys,
)

COUNTED = ["sample_id", KEYED_BY, "frames_listed"]


def with_frame_columns(answers: pa.Table, samples: pa.Table, weights: Sequence[np.ndarray]) -> pa.Table:
    """Answers with `frame_ids` and `frame_weights`: of samples that are all ok; without weights these are null."""
    offsets = pa.array(np.concatenate([np.zeros(1, np.int32), np.cumsum(frame_counts(samples), dtype=np.int32)]))
    names = pa.ListArray.from_arrays(offsets, frames_of(samples)["sample_id"].combine_chunks())
    kind = pa.list_(pa.float32())
    given = pa.array(list(weights), kind) if weights else pa.nulls(samples.num_rows, kind)
    return answers.append_column("frame_ids", names).append_column("frame_weights", given)


def shared_values(rows: pa.Table) -> pa.Table:
    """Rows of a unit with, at the first row of each sample, the values that all its rows share; else null."""
    starts = sample_starts(rows)
    columns = {SAMPLE_KEY: rows[SAMPLE_KEY]}
    for name in (name for name in rows.column_names if name != SAMPLE_KEY):
        codes = rows[name].combine_chunks().dictionary_encode().indices
        codes = pc.fill_null(codes, -1).to_numpy()
        same = np.zeros(rows.num_rows, bool)
        if len(starts):
            same[starts] = np.minimum.reduceat(codes, starts) == np.maximum.reduceat(codes, starts)
        columns[name] = pc.if_else(pa.array(same), rows[name], None)
    return pa.table(columns)


def wanted_samples_of(index: Iterable[pa.Table], sample: SampleRecipe) -> pa.Table:
    """COUNTED of every sample of an index, by id: what its predictions must say.

    Args:
        index: `object_id`, the column of the key, `frames` and `status`, without what was skipped, a slice at a time.
        sample: what a sample is.
    """
    return _summed(_counted(rows, sample) for rows in index)


def found_samples_of(predictions: Iterable[pa.Table]) -> pa.Table:
    """COUNTED of predictions, by id, with how many `rows` each id has."""
    return _summed(table.append_column("rows", pa.array(np.ones(table.num_rows, np.int64))) for table in predictions)


def _counted(rows: pa.Table, sample: SampleRecipe) -> pa.Table:
    keyed = with_sample_keys(rows, sample)
    columns = {"sample_id": keyed[SAMPLE_KEY], KEYED_BY: keyed[KEYED_BY]}
    ones = pa.nulls(rows.num_rows, pa.int64()).fill_null(0)
    return pa.table({**columns, "frames_listed": pa.array(frames_of_objects(rows)), "rows": ones})


def _summed(parts: Iterable[pa.Table]) -> pa.Table:
    found: pa.Table | None = None
    for part in parts:
        both = part if found is None else pa.concat_tables([found, part.select(found.column_names)])
        grouped = both.group_by(COUNTED[:2], use_threads=False).aggregate([("frames_listed", "sum"), ("rows", "sum")])
        found = grouped.rename_columns([*COUNTED[:2], "frames_listed", "rows"])
    assert found is not None, "a finished table has at least one file"
    return found.sort_by([(name, "ascending") for name in COUNTED[:2]])
