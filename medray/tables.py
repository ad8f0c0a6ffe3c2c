"""Tables of many rows: a folder of Parquet files that is finished when its `_MANIFEST.json` is there.

OUT/_RUN.json        what the job was asked for: the same command may go on, another may not
OUT/_parts/          working state: a part file a unit, each written in one PUT
OUT/<kind>-….parquet the finished rows, about a million a file
OUT/_MANIFEST.json   written last: files, rows, counts; readers refuse a table without one
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from medray import stages, storage
from medray.errors import NotFoundError, OutputError
from medray.retries import NO_BUCKET

MANIFEST, RUN, PARTS = "_MANIFEST.json", "_RUN.json", "_parts"
OWN_INDEX = "_index"  # the index that a job makes for itself, a table of its own
EXPLANATIONS = "_explanations"  # of the predictions in whose folder it lies, a table of its own
AGGREGATES = "_aggregates"  # likewise, a table for each level and rule
AHEAD = 8  # part files that are fetched beforehand: a store at some distance answers after 10 to 50 ms
ROWS_PER_FILE = 1_000_000
ROWS_PER_GROUP = 65_536


def digest(value: Any) -> str:
    """16 hexadecimal digits of the SHA-256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


def is_table(uri: str) -> bool:
    """Whether a finished or unfinished table of ours lies at the URI."""
    return storage.exists(storage.join(uri, MANIFEST)) or storage.exists(storage.join(uri, RUN))


def read_manifest(uri: str) -> dict[str, Any]:
    """The manifest of a finished table.

    Raises:
        OutputError: there is no table, or the job that makes it has not finished.
    """
    try:
        manifest: dict[str, Any] = storage.read_json(storage.join(uri, MANIFEST))
    except NotFoundError as error:
        if NO_BUCKET in error.what:
            raise
        if storage.exists(storage.join(uri, RUN)):
            raise OutputError(f"{uri} is not finished.", "Run the command that makes it again; it goes on.") from None
        raise OutputError(f"{uri} holds no medray table.", "Give the folder that a medray job wrote.") from None
    return manifest


def iter_tables(uri: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """The rows of a finished table, a file at a time."""
    for name in read_manifest(uri)["files"]:
        yield storage.read_parquet(storage.join(uri, name), columns)


def read_table(uri: str, columns: list[str] | None = None) -> pa.Table:
    """All rows of a finished table."""
    return pa.concat_tables(iter_tables(uri, columns))


def rows_where(uri: str, column: str, values: list[str], columns: list[str] | None = None) -> pa.Table:
    """The rows of a finished table whose column holds one of the values; memory holds a file as it is stored.

    Args:
        uri: the table.
        column: of strings.
        values: wanted.
        columns: to return, `column` among them; none = all.
    """
    wanted, found = pa.array(values, pa.string()), []
    for name in read_manifest(uri)["files"]:
        file = pq.ParquetFile(pa.BufferReader(storage.read_bytes(storage.join(uri, name))))
        found.append(file.schema_arrow.empty_table().select(columns or file.schema_arrow.names))
        if pc.any(pc.is_in(file.read([column])[column], value_set=wanted)).as_py():
            for batch in file.iter_batches(columns=columns):
                table = pa.Table.from_batches([batch])
                found.append(table.filter(pc.is_in(table[column], value_set=wanted)).select(found[0].column_names))
    return pa.concat_tables(found)


def is_finished(uri: str, run: dict[str, Any]) -> bool:
    """Whether a job has finished in this folder already; a look, before any work.

    Args:
        uri: the folder.
        run: what decides the result: settings, inputs, versions.

    Raises:
        OutputError: the folder holds something else, or (part of) the result of other settings.
    """
    made = {name for name in storage.names(uri) if not name.endswith(".partial")} - {RUN, OWN_INDEX}
    earlier = _earlier_run(uri)
    if earlier is None and made:
        raise OutputError(f"{uri} exists and is no output of this job.", "Choose an empty or new folder for --out.")
    finished = earlier is not None and storage.exists(storage.join(uri, MANIFEST))
    if earlier is None or not (made or finished):
        return False  # nothing there, or an earlier job that ended before it made anything
    wanted = json.loads(json.dumps(run, default=str))
    if earlier != wanted:
        changed = sorted(key for key in {*earlier, *wanted} if earlier.get(key) != wanted.get(key))
        raise OutputError(
            f"{uri} was made with other settings ({', '.join(changed)} differ).", "Choose another --out, or delete it."
        )
    return finished


def _earlier_run(uri: str) -> dict[str, Any] | None:
    """What a job in this folder was asked for; read and not listed, since a list may be behind what was written."""
    try:
        found: dict[str, Any] = storage.read_json(storage.join(uri, RUN))
    except NotFoundError:
        return None
    return found


def claim(uri: str, run: dict[str, Any]) -> bool:
    """Take a folder for a job, or take it up again; whether the job is finished already.

    Args:
        uri: the folder.
        run: what decides the result: settings, inputs, versions.

    Raises:
        OutputError: the folder holds something else, or (part of) the result of other settings.
    """
    finished = is_finished(uri, run)
    if not finished:
        storage.write_json(storage.join(uri, RUN), run)
    return finished


def finished_parts(uri: str) -> set[str]:
    """Ids of the units whose part file is there. A unit that a list forgets is done again, and writes the same file."""
    return {
        name.removeprefix("part-").removesuffix(".parquet")
        for name in storage.names(storage.join(uri, PARTS))
        if name.startswith("part-") and name.endswith(".parquet")
    }


def part_uri(uri: str, unit_id: str) -> str:
    """Where the part file of a unit lies: a fixed name, so that doing a unit twice writes the same object."""
    return storage.join(uri, PARTS, f"part-{unit_id}.parquet")


def _gathered(tables: Iterable[pa.Table], schema: pa.Schema, rows: int) -> Iterator[pa.Table]:
    """Tables of about `rows` rows and this schema; none where there is no row."""
    held: list[pa.Table] = []
    count = 0
    for table in tables:
        held.append(table.select(schema.names).cast(schema))
        count += table.num_rows
        if count >= rows:
            yield pa.concat_tables(held)
            held, count = [], 0
    if count:
        yield pa.concat_tables(held)


def _write_file(uri: str, groups: Iterator[pa.Table], schema: pa.Schema) -> int:
    """Write about `ROWS_PER_FILE` rows in one PUT; how many. Memory holds a row group, and the file compressed."""
    sink, rows = pa.BufferOutputStream(), 0
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        while rows < ROWS_PER_FILE and (group := next(groups, None)) is not None:
            writer.write_table(group)
            rows += group.num_rows
    storage.write_bytes(uri, sink.getvalue())
    return rows


def finish(
    uri: str, kind: str, tables: Iterable[pa.Table], *, schema: pa.Schema, facts: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Write the finished rows, then the manifest; then drop the parts and the files of an earlier generation.

    Args:
        uri: the table's folder.
        kind: name of the table, and of its files.
        tables: the rows; memory holds a row group of them, and a file compressed.
        schema: of the rows.
        facts: what else the manifest says; asked for when all rows have passed.
    """
    earlier = storage.exists(storage.join(uri, MANIFEST))
    generation = int(read_manifest(uri)["generation"]) + 1 if earlier else 1
    files: list[str] = []
    rows = 0
    groups = _gathered(tables, schema, min(ROWS_PER_GROUP, ROWS_PER_FILE))
    while (first := next(groups, None)) is not None or not files:
        name = f"{kind}-{generation:03d}-{len(files):05d}.parquet"
        rows += _write_file(storage.join(uri, name), chain([] if first is None else [first], groups), schema)
        files.append(name)
    manifest = {"kind": kind, "generation": generation, "rows": rows, "files": files, **facts()}
    stages.reach("filed")
    storage.write_json(storage.join(uri, MANIFEST), manifest)
    stages.reach("finished")
    clear(uri, manifest)
    return manifest


def clear(uri: str, manifest: dict[str, Any]) -> None:
    """Drop what a finished table no longer needs: the parts, and the files of earlier generations."""
    for name in storage.names(uri):
        if name.startswith(f"{manifest['kind']}-") and name.endswith(".parquet") and name not in manifest["files"]:
            storage.delete(storage.join(uri, name))
    storage.delete(storage.join(uri, PARTS))


def iter_parts(uri: str, unit_ids: Iterable[str], columns: list[str] | None = None) -> Iterator[pa.Table]:
    """The part files of the units, in the order given; the next `AHEAD` are fetched while one is worked on."""
    with ThreadPoolExecutor(AHEAD, thread_name_prefix="medray-parts") as threads:
        coming: deque[Future[pa.Table]] = deque()
        for unit_id in unit_ids:
            coming.append(threads.submit(storage.read_parquet, part_uri(uri, unit_id), columns))
            if len(coming) > AHEAD:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


@contextmanager
def opened(uri: str) -> Iterator[pq.ParquetFile]:
    """A Parquet file whose parts are fetched by ranges."""
    filesystem, path = storage.arrow_filesystem(uri)
    with filesystem.open_input_file(path) as file:
        yield pq.ParquetFile(file)


def row_group(uri: str, number: int) -> pa.Table:
    """One row group of a Parquet file, fetched by ranges."""
    with opened(uri) as file:
        return file.read_row_group(number)


def iter_slices(uri: str, columns: list[str], rows: int) -> Iterator[pa.Table]:
    """The rows of a finished table, at most `rows` at a time, so that memory does not grow with it."""
    for name in read_manifest(uri)["files"]:
        file = pq.ParquetFile(pa.BufferReader(storage.read_bytes(storage.join(uri, name))))
        for batch in file.iter_batches(batch_size=rows, columns=columns):
            yield pa.Table.from_batches([batch])
