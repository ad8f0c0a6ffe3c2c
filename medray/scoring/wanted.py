"""The samples of a unit that are wanted, where not all of its frames are: those that a retry is about."""

import pyarrow as pa
import pyarrow.compute as pc

from medray.samples.frame_sets import SAMPLE_KEY
from medray.samples.units import WANTED


def rows_to_retry(index: pa.Table, chosen: pa.Table) -> pa.Table:
    """The rows of an index that can be read, with a chosen sample; WANTED says which of their frames.

    Args:
        index: its rows.
        chosen: `object_id` and `frame` of samples; a null frame is the whole object.
    """
    by_object = chosen.group_by("object_id", use_threads=False).aggregate([("frame", "list")])
    place = pc.index_in(index["object_id"], value_set=by_object["object_id"].combine_chunks())
    found = pc.and_(pc.is_valid(place), pc.equal(index["status"], "ok"))
    return index.filter(found).append_column(WANTED, by_object["frame_list"].take(place.filter(found)))


def wanted_samples(samples: pa.Table, rows: pa.Table) -> pa.Table:
    """The samples of a unit that its rows want: all of them where they do not say, or samples have several frames.

    An object that can no longer be read has one sample for all its frames; each wanted frame gets a row of it.

    Args:
        samples: from `prepare_unit`.
        rows: the unit's.
    """
    if WANTED not in rows.column_names or SAMPLE_KEY in rows.column_names:
        return samples
    wanted = rows[WANTED].to_pylist()
    kept: list[tuple[int, str, int | None]] = []
    for place, sample in enumerate(samples.select(["row", "sample_id", "frame"]).to_pylist()):
        name, frame, frames = sample["sample_id"], sample["frame"], wanted[sample["row"]]
        if None in frames or frame in frames:
            kept.append((place, name, frame))
        elif frame is None:
            kept += [(place, f"{name}:{number}", number) for number in sorted(frames)]
    places, names, numbers = (list(column) for column in zip(*kept, strict=True)) if kept else ([], [], [])
    table = samples.take(pa.array(places, pa.int64()))
    for column, values in (("sample_id", names), ("frame", numbers)):
        field = samples.schema.field(column)
        table = table.set_column(samples.schema.get_field_index(column), field, pa.array(values, field.type))
    return table
