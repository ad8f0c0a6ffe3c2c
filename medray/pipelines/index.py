"""`medray index`: list the archive → read headers of what is new or changed → one row an object or shard member."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medray import __version__, storage, tables
from medray.archive.duplicates import flag_shared_uids, shared_uids
from medray.archive.identity import key_check, load_key, seal
from medray.archive.known import KnownObjects
from medray.archive.objects import index_object, rows_to_table
from medray.errors import ArchiveError, MedrayError, SettingsError
from medray.pipelines.cluster import cluster
from medray.pipelines.funnel import Funnel
from medray.pipelines.progress import Progress, say, say_funnels
from medray.pipelines.units import ledger_of, ledger_row, unit_dataset
from medray.samples.clock import running, stage, unit_clock
from medray.schema import INDEX
from medray.settings import IndexSettings, RaySettings
from medray.storage import StoredObject

TASKS_A_WAVE = 2000
THREADS = 16


@dataclass(frozen=True)
class ObjectRun:
    """Objects of the listing that one task reads."""

    unit_id: str
    objects: tuple[StoredObject, ...]


@dataclass(frozen=True)
class HeaderReader:
    """Reads the headers of a run of objects and writes its part file."""

    settings: IndexSettings
    key: bytes = field(repr=False)

    @unit_clock("index")
    def __call__(self, run: ObjectRun) -> pa.Table:
        """Index a run of objects; its ledger row."""
        with (
            stage("read"),
            ThreadPoolExecutor(THREADS if not storage.is_local(self.settings.archive) else 1) as threads,
        ):
            found = threads.map(lambda stored: index_object(stored, self.key, self.settings), run.objects)
            rows = [row for object_rows in found for row in object_rows]
        table = rows_to_table(rows)
        running().bytes_read = int(pc.sum(table["bytes_read"]).as_py() or 0)
        with stage("write"):
            storage.write_parquet(tables.part_uri(self.settings.out, run.unit_id), table)
        return ledger_row(run.unit_id, table)


def index(settings: IndexSettings) -> dict[str, Any]:
    """Index an archive, or bring its index up to date; the manifest.

    Raises:
        ArchiveError: there is nothing to index.
        NotFoundError, AccessDeniedError: the archive cannot be listed.
        OutputError: the output folder holds something else.
    """
    settings = replace(settings, archive=storage.absolute(settings.archive), out=storage.absolute(settings.out))
    check_archive(settings.archive)
    key = load_key(settings.key_file)
    finished = tables.claim(settings.out, _run(settings, key))
    again = finished and not settings.restart
    known = KnownObjects(tables.iter_tables(settings.out, ["uri", "etag"]) if again else ())
    sort = _Sorting(settings, key, known)
    watch = Progress("index", noun="objects", price_per_hour=settings.price_per_hour)
    unit_ids = _read_new(settings, key, sort, watch)
    kept = int(known.met.sum())
    if again and not unit_ids and known.met.all():
        say(f"index: {settings.out} is up to date ({kept:,} objects unchanged)")
        manifest = tables.read_manifest(settings.out)
        tables.clear(settings.out, manifest)  # an earlier run may have been ended behind its manifest
        return {**manifest, "kept": kept, "read": 0}
    counts = Funnel()
    shared = shared_uids(lambda columns: _all_rows(settings, unit_ids, known, columns))
    flagged = (flag_shared_uids(table, shared) for table in _all_rows(settings, unit_ids, known))
    rows = counts.counted(flagged)

    def facts() -> dict[str, Any]:
        if counts.objects != kept + sort.read:
            what = f"The listing has {kept + sort.read:,} objects, and the rows are of {counts.objects:,}."
            raise MedrayError(what, "Index it again with --restart true; please report it.")
        work = {"kept": kept, "read": sort.read, "objects": counts.objects, "funnel": counts.facts()}
        work["run"] = watch.summary()
        return {"archive": settings.archive, "paths": settings.paths, "key_check": key_check(key), **work}

    manifest = tables.finish(settings.out, "index", rows, schema=INDEX, facts=facts)
    say(f"index: {sort.read:,} objects read, {kept:,} unchanged")
    say(f"index: {manifest['rows']:,} rows in {settings.out}")
    say_funnels("index", {"objects and members": manifest["funnel"]})
    watch.say_summary(manifest["run"])
    return manifest


def check_archive(archive: str) -> None:
    """Refuse a place that cannot be listed or holds nothing.

    Raises:
        ArchiveError: there is nothing to index.
        NotFoundError, AccessDeniedError: the archive cannot be listed.
    """
    if next(storage.list_objects(archive), None) is None:
        raise ArchiveError(f"{archive} holds no objects.", "Give the folder or prefix that holds the images.")


def _run(settings: IndexSettings, key: bytes) -> dict[str, Any]:
    return {
        "job": "index",
        "archive": settings.archive,
        "paths": settings.paths,
        "key": key_check(key),
        "medray": __version__,
    }


class _Sorting:
    """Sorts the listing into objects whose rows stay and runs of objects to read."""

    def __init__(self, settings: IndexSettings, key: bytes, known: KnownObjects) -> None:
        self.settings, self.key, self.known = settings, key, known
        self.read = 0

    def runs(self) -> Iterator[ObjectRun]:
        """Runs of new or changed objects, in listing order."""
        new = self._new(storage.list_objects(self.settings.archive))
        while objects := tuple(islice(new, self.settings.objects_per_task)):
            self.read += len(objects)
            yield ObjectRun(tables.digest([(stored.path, stored.etag) for stored in objects]), objects)

    def _new(self, listing: Iterable[StoredObject]) -> Iterator[StoredObject]:
        out = self.settings.out + "/"
        for stored in listing:
            if stored.uri.startswith(out):
                continue  # an output inside the archive is no part of it
            uri = seal(self.key, stored.uri) if self.settings.paths == "sealed" else stored.uri
            if not self.known.meet(uri, stored.etag):
                yield stored


def _read_new(settings: IndexSettings, key: bytes, sort: _Sorting, watch: Progress) -> list[str]:
    """Read what is new, a wave of tasks at a time; the ids of all part files. Ray starts only where there is work."""
    unit_ids: list[str] = []
    runs, reader = sort.runs(), HeaderReader(settings, key)
    with ExitStack() as stack:
        while wave := list(islice(runs, TASKS_A_WAVE)):
            unit_ids += [run.unit_id for run in wave]
            done = tables.finished_parts(settings.out)
            todo = [run for run in wave if run.unit_id not in done]
            if todo:
                stack.enter_context(cluster(settings.ray))
                dataset = unit_dataset(todo, reader, name="index", settings=settings.ray)
                for _ in watch.over(ledger_of(dataset, "index"), total=len(todo)):
                    pass
    return unit_ids


def _all_rows(
    settings: IndexSettings, unit_ids: list[str], known: KnownObjects, columns: list[str] | None = None
) -> Iterator[pa.Table]:
    """Rows of the earlier index that stay, then the new ones."""
    if known.met.any():
        for table in tables.iter_tables(settings.out, columns and ["uri", "etag", *columns]):
            stays = table.filter(pa.array(known.stays(table)))
            yield stays.select(columns) if columns else stays
    yield from tables.iter_parts(settings.out, unit_ids, columns)


def ensure_index(source: str, out: str, key_file: str | None, ray: RaySettings) -> str:
    """The index table that `source` is, or one made from the archive that it is.

    Raises:
        SettingsError: the index was made with another key.
    """
    found = known_index(source, key_file)
    if found is None:
        index(IndexSettings(source, out, key_file=key_file, ray=ray))
    return found or out


def generation_of(source: str | None) -> int | None:
    """How often an index was written: what was made from an earlier one is not what it would be now."""
    return None if source is None else int(tables.read_manifest(source)["generation"])


def known_index(source: str, key_file: str | None) -> str | None:
    """The index table that `source` is; None where it is an archive. A look, before any work.

    Raises:
        SettingsError: the index was made with another key, or is another table.
        ArchiveError, StorageError: an archive without an object, or one that cannot be listed.
    """
    source = storage.absolute(source)
    if not tables.is_table(source):
        check_archive(source)
        return None
    manifest = tables.read_manifest(source)
    if "key_check" not in manifest:
        raise SettingsError(f"{source} is a table of {manifest['kind']}.", "Give an index or an archive.")
    if manifest["key_check"] != key_check(load_key(key_file)):
        raise SettingsError(f"{source} was made with another key.", "Give its --key_file, or set MEDRAY_KEY to it.")
    return source
