"""Objects that carry one SOP Instance UID: both stay in the index, flagged."""

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

CONFLICT, COPY = "uid_conflict", "uid_copy"
CONTENT = ["length", "transfer_syntax_uid", "rows", "columns", "frames", "bits_stored"]
KEY = ["instance_key", "status"]
DIGITS = 16

ReadRows = Callable[[list[str]], Iterable[pa.Table]]
"""The rows of an index, some columns of them; it is called more than once."""


def shared_uids(read: ReadRows) -> dict[str, str]:
    """The flag of each `instance_key` that more than one ok row has.

    `uid_conflict` where their length, size, depth or coding differ, so that they cannot be the same object; `uid_copy`
    where those are equal (the pixels are not compared). Reads the rows twice and holds eight bytes of each: the first
    digits of the keys tell which few keys may be shared, and only those rows are compared.
    """
    firsts = np.sort(np.concatenate([np.empty(0, np.uint64), *(_numbers(_ok(table)) for table in read(KEY))]))
    maybe = np.unique(firsts[1:][firsts[1:] == firsts[:-1]])
    content: dict[str, list[tuple[object, ...]]] = {}
    for table in read([*KEY, *CONTENT]) if len(maybe) else ():
        ok = _ok(table)
        for row in ok.filter(pa.array(np.isin(_numbers(ok), maybe))).to_pylist():
            content.setdefault(row["instance_key"], []).append(tuple(row[name] for name in CONTENT))
    return {key: CONFLICT if len(set(found)) > 1 else COPY for key, found in content.items() if len(found) > 1}


def _ok(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.and_(pc.equal(rows["status"], "ok"), pc.is_valid(rows["instance_key"])))


def _numbers(rows: pa.Table) -> np.ndarray:
    """The first 16 hexadecimal digits of the keys as uint64."""
    digits = pc.utf8_slice_codeunits(rows["instance_key"], 0, DIGITS).to_pylist()
    codes = np.array(digits, f"S{DIGITS}").view(np.uint8).reshape(-1, DIGITS).astype(np.uint64)
    values = (codes & np.uint64(15)) + np.uint64(9) * (codes >> np.uint64(6))
    numbers: np.ndarray = (values << np.arange(4 * DIGITS - 4, -1, -4, dtype=np.uint64)).sum(axis=1, dtype=np.uint64)
    return numbers


def flag_shared_uids(rows: pa.Table, shared: dict[str, str]) -> pa.Table:
    """Rows of an index with these flags, in the place of those of an earlier run. No row is dropped."""
    keys, status = rows["instance_key"].to_pylist(), rows["status"].to_pylist()
    flags = [
        [flag for flag in old or () if flag not in (CONFLICT, COPY)]
        + ([shared[key]] if key in shared and ok == "ok" else [])
        for old, key, ok in zip(rows["flags"].to_pylist(), keys, status, strict=True)
    ]
    column = rows.column_names.index("flags")
    return rows.set_column(column, rows.schema.field(column), pa.array(flags, pa.list_(pa.string())))
