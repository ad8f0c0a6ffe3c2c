"""An index of any size: the rows of a real one again and again, each repetition with object ids of its own."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from medray import tables
from medray.schema import INDEX

ROWS_AT_ONCE = 200_000
HEX = np.frombuffer(b"0123456789abcdef", np.uint8)


def repeat_index(source: Path, out: Path, count: int, shares: dict[str, float] | None = None) -> Path:
    """Write an index of `count` rows that names the images of `source` in turn.

    Series, instances and objects of each repetition have keys of their own, as those of other patients would.

    Args:
        source: an index of few objects.
        out: where the large one goes.
        count: its rows.
        shares: of the modalities among them; none = as in `source`.
    """
    manifest = tables.read_manifest(str(source))
    rows = tables.read_table(str(source))
    rows = rows.filter(pc.equal(rows["status"], "ok")).combine_chunks()
    order = np.arange(count) % rows.num_rows if shares is None else _mixture(rows, count, shares)
    facts = {name: manifest[name] for name in ("archive", "paths", "key_check")}
    funnel = {"listed": count, "status": {"ok": count}, "reasons": {}}
    tables.finish(str(out), "index", _repeated(rows, order), schema=INDEX, facts=lambda: {**facts, "funnel": funnel})
    return out


def _mixture(rows: pa.Table, count: int, shares: dict[str, float]) -> np.ndarray:
    """Row numbers: the modalities evenly spread, the images of each in turn."""
    modality = np.array([name or "" for name in rows["modality"].to_pylist()])
    places = {name: (np.arange(round(share * count)) + 0.5) / share for name, share in shares.items()}
    numbers = {name: np.resize(np.flatnonzero(modality == name), len(places[name])) for name in shares}
    order = np.argsort(np.concatenate(list(places.values())), kind="stable")
    mixed: np.ndarray = np.concatenate(list(numbers.values()))[order]
    return mixed


def _repeated(rows: pa.Table, order: np.ndarray) -> Iterator[pa.Table]:
    for start in range(0, len(order), ROWS_AT_ONCE):
        taken = order[start : start + ROWS_AT_ONCE]
        numbers = np.arange(start, start + len(taken))
        table = rows.take(pa.array(taken))
        for name in ("object_id", "instance_key"):
            table = table.set_column(table.column_names.index(name), INDEX.field(name), _keys(numbers, name))
        place = table.column_names.index("series_key")
        series = pc.binary_join_element_wise(table["series_key"], _keys(numbers // rows.num_rows, "series"), "-")
        yield table.set_column(place, INDEX.field("series_key"), series)


def _keys(numbers: np.ndarray, kind: str) -> pa.Array:
    """32 hexadecimal digits for each number: the number itself, mixed so that sorting by key shuffles."""
    seed = np.uint64(len(kind) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
    first = _mixed(numbers.astype(np.uint64) + seed)
    second = _mixed(first ^ seed)
    octets = np.stack([first, second], 1).view(np.uint8)
    digits = np.stack([HEX[octets >> 4], HEX[octets & 15]], 2).reshape(-1)
    offsets = np.arange(0, digits.size + 1, 32, dtype=np.int32)
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(digits))


def _mixed(values: np.ndarray) -> np.ndarray:
    """One to one (splitmix64), so that no two keys are equal."""
    with np.errstate(over="ignore"):
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: np.ndarray = values ^ (values >> np.uint64(31))
    return mixed
