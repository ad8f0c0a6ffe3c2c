"""Tables of many rows: a folder of Parquet files that is finished when its `_MANIFEST.json` is there.

OUT/_RUN.json        what the job was asked for: the same command may go on, another may not
OUT/_parts/          working state: a part file a unit, each written in one PUT
OUT/<kind>-….parquet the finished rows, about a million a file
OUT/_MANIFEST.json   written last: files, rows, counts; readers refuse a table without one
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from medray import stages, storage
from medray.errors import NotFoundError, OutputError

MANIFEST, RUN, PARTS = "_MANIFEST.json", "_RUN.json", "_parts"
OWN_INDEX = "_index"  # the index that a job makes for itself, a table of its own
EXPLANATIONS = "_explanations"  # of the predictions in whose folder it lies, a table of its own
ROWS_PER_FILE = 1_000_000


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
        if storage.NO_BUCKET in error.what:
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


def is_finished(uri: str, run: dict[str, Any]) -> bool:
    """Whether a job has finished in this folder already; a look, before any work.

    Args:
        uri: the folder.
        run: what decides the result: settings, inputs, versions.

    Raises:
        OutputError: the folder holds something else, or (part of) the result of other settings.
    """
    found = {name for name in storage.names(uri) if not name.endswith(".partial")}
    if not found - {RUN, OWN_INDEX}:
        return False  # nothing there, or an earlier job that ended before it made anything
    if RUN not in found:
        raise OutputError(f"{uri} exists and is no output of this job.", "Choose an empty or new folder for --out.")
    earlier, wanted = storage.read_json(storage.join(uri, RUN)), json.loads(json.dumps(run, default=str))
    if earlier != wanted:
        changed = sorted(key for key in {*earlier, *wanted} if earlier.get(key) != wanted.get(key))
        raise OutputError(
            f"{uri} was made with other settings ({', '.join(changed)} differ).", "Choose another --out, or delete it."
        )
    return MANIFEST in found


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
    """Ids of the units whose part file is there."""
    return {
        name.removeprefix("part-").removesuffix(".parquet")
        for name in storage.names(storage.join(uri, PARTS))
        if name.startswith("part-") and name.endswith(".parquet")
    }


def part_uri(uri: str, unit_id: str) -> str:
    """Where the part file of a unit lies: a fixed name, so that doing a unit twice writes the same object."""
    return storage.join(uri, PARTS, f"part-{unit_id}.parquet")


def _files_of(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """Gather tables into ones of about `ROWS_PER_FILE` rows; at least one, empty or not."""
    held: list[pa.Table] = []
    count, given = 0, 0
    for table in tables:
        held.append(table.select(schema.names).cast(schema))
        count += table.num_rows
        if count >= ROWS_PER_FILE:
            yield pa.concat_tables(held)
            held, count, given = [], 0, given + 1
    if held or not given:
        yield pa.concat_tables(held) if held else schema.empty_table()


def finish(
    uri: str, kind: str, tables: Iterable[pa.Table], *, schema: pa.Schema, facts: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Write the finished rows, then the manifest; then drop the parts and the files of an earlier generation.

    Args:
        uri: the table's folder.
        kind: name of the table, and of its files.
        tables: the rows; memory holds one file's worth of them.
        schema: of the rows.
        facts: what else the manifest says; asked for when all rows have passed.
    """
    earlier = storage.exists(storage.join(uri, MANIFEST))
    generation = int(read_manifest(uri)["generation"]) + 1 if earlier else 1
    files, rows = [], 0
    for number, table in enumerate(_files_of(tables, schema)):
        name = f"{kind}-{generation:03d}-{number:05d}.parquet"
        storage.write_parquet(storage.join(uri, name), table)
        files.append(name)
        rows += table.num_rows
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
    """The part files of the units, in the order given."""
    for unit_id in unit_ids:
        yield storage.read_parquet(part_uri(uri, unit_id), columns)


def row_group(uri: str, number: int) -> pa.Table:
    """One row group of a Parquet file, fetched by ranges."""
    filesystem, path = storage.arrow_filesystem(uri)
    with filesystem.open_input_file(path) as file:
        return pq.ParquetFile(file).read_row_group(number)
