"""`medray pack`: index → series together → tar shards of about 256 MB → one index of them and of what stays loose."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medray import __version__, storage, tables
from medray.archive.identity import key_check, load_key
from medray.archive.packable import SURVEYED, packable, why_they_stay
from medray.archive.shards import SHA256, parted, write_shard
from medray.archive.uploads import sweep
from medray.errors import ArchiveError, SettingsError
from medray.pipelines.cluster import cluster
from medray.pipelines.funnel import Funnel
from medray.pipelines.index import known_index
from medray.pipelines.progress import Progress, say, say_funnels
from medray.pipelines.units import PlannedUnit, ledger_of, ledger_row, unit_dataset
from medray.pipelines.waves import planned_waves
from medray.samples.clock import running, stage, unit_clock
from medray.samples.series_units import cut_shards
from medray.schema import INDEX
from medray.settings import PackSettings

SHARDS, SUMS = "shards", "SHA256SUMS"
ROWS_AT_ONCE = 2**19  # that are sorted by series together: some hundred megabytes


@dataclass(frozen=True)
class ShardWriter:
    """Reads the objects of a unit and writes them as one tar shard, then the rows of its members as the part file."""

    settings: PackSettings
    key: bytes = field(repr=False)

    @unit_clock("pack")
    def __call__(self, unit: PlannedUnit) -> pa.Table:
        """Pack a unit; its ledger row."""
        out, uri = self.settings.out, storage.join(self.settings.out, SHARDS, shard_name(unit))
        with stage("write"):  # and read: a shard is written while its members come
            packed = write_shard(unit.rows(), self.key, uri, sealed=self.settings.paths == "sealed")
            storage.write_parquet(tables.part_uri(out, unit.unit_id), packed)
        _, members, unread = parted(packed)
        running().bytes_read = int(pc.sum(members["length"]).as_py() or 0)
        return ledger_row(unit.unit_id, pa.concat_tables([members, unread]))


def shard_name(unit: PlannedUnit) -> str:
    """What the shard of a unit is called: always the same, so that doing it twice writes the same object."""
    return f"shard-{unit.unit_id}.tar"


def pack(settings: PackSettings) -> dict[str, Any]:
    """Pack the objects of an index into tar shards, or go on where an earlier run stopped; the manifest.

    The new index has a row for each row of the old one, with the same id (so labels by path still find it), and one for
    each shard. What is not packed keeps its place. The archive is only read.

    Raises:
        ArchiveError: the index holds nothing to pack.
        SettingsError: the output lies in the archive.
        OutputError: the output folder holds something else.
    """
    settings = replace(settings, out=storage.absolute(settings.out), index=storage.absolute(settings.index))
    source, key = tables.read_manifest(settings.index), load_key(settings.key_file)
    run = {
        "job": "pack",
        "index": settings.index,
        "generation": source["generation"],
        "shard_bytes": settings.shard_bytes,
        "paths": settings.paths,
        "medray": __version__,
    }
    if tables.is_finished(settings.out, run):
        say(f"pack: {settings.out} is finished already")
        return tables.read_manifest(settings.out)
    known_index(settings.index, settings.key_file)
    if f"{settings.out}/".startswith(source["archive"].rstrip("/") + "/"):
        cure = "Choose an --out outside of it."
        raise SettingsError("The shards would lie in the archive, whose next index had each object twice.", cure)
    work = _Work(settings, key)
    if not work.wanted:
        raise ArchiveError(f"{settings.index} holds no images.", "Index an archive of DICOM, PNG, JPEG or TIFF.")
    watch = Progress("pack", price_per_hour=settings.price_per_hour)
    tables.claim(settings.out, run)
    with cluster(settings.ray):
        for _ in watch.over(work.ledger(), total=work.wanted, step="objects"):
            pass
    return _finish(work, source, watch)


class _Work:
    """What is to be packed and what stays, by the index; the units of a run, as they were planned."""

    def __init__(self, settings: PackSettings, key: bytes) -> None:
        self.settings, self.key = settings, key
        self.wanted, self.packed, self.stays = 0, Counter[str](objects=0, bytes=0), Counter[str]()
        for rows in tables.iter_slices(settings.index, SURVEYED, ROWS_AT_ONCE):
            wanted = packable(rows)
            self.wanted += pc.sum(wanted).as_py() or 0
            self.stays.update(why_they_stay(rows.filter(pc.invert(wanted))))
        self.units: list[PlannedUnit] = []
        self.sums: list[str] = []

    def ledger(self) -> Iterator[dict[str, Any]]:
        """A row for each unit that is done, and one in front of each wave for what earlier runs did of it."""
        done = tables.finished_parts(self.settings.out)
        if done:
            say(f"pack: {len(done):,} shards are finished already")
        writer, ray = ShardWriter(self.settings, self.key), self.settings.ray
        for wave in planned_waves(self.settings.out, self._slices(), self.settings.shard_bytes, cut_shards):
            self.units += wave
            todo = {unit.unit_id: unit for unit in wave if unit.unit_id not in done}
            yield {"objects": sum(unit.objects for unit in wave if unit.unit_id in done)}
            dataset = unit_dataset(list(todo.values()), writer, name="pack", settings=ray) if todo else None
            for row in ledger_of(dataset, "pack") if todo else ():
                yield {**row, "objects": todo[row["unit_id"]].objects}

    def _slices(self) -> Iterator[pa.Table]:
        """The rows to pack, as many at once as can be sorted; each series in one of them, by its hash."""
        count = -(-self.wanted // ROWS_AT_ONCE)
        for number in range(count):
            slices = tables.iter_slices(self.settings.index, INDEX.names, ROWS_AT_ONCE // 8)
            yield pa.concat_tables([rows.filter(_belongs(rows, number, count)) for rows in slices])

    def rows(self) -> Iterator[pa.Table]:
        """The rows of all units, counted, then those that stay."""
        for unit in self.units:
            part = storage.read_parquet(tables.part_uri(self.settings.out, unit.unit_id))
            self._count(part, unit)
            yield part
        for rows in tables.iter_slices(self.settings.index, INDEX.names, tables.ROWS_PER_GROUP):
            yield rows.filter(pc.invert(packable(rows)))

    def _count(self, part: pa.Table, unit: PlannedUnit) -> None:
        shard, members, unread = parted(part)
        if shard:
            self.sums.append(f"{shard['checksum'].removeprefix(SHA256)}  {shard_name(unit)}\n")
        self.packed.update(objects=members.num_rows, bytes=int(pc.sum(members["length"]).as_py() or 0))
        self.stays.update(why_they_stay(unread))


def _belongs(rows: pa.Table, number: int, count: int) -> pa.ChunkedArray:
    """Whether each row is to be packed with these; keys are hashes, so all are about as many."""
    wanted = packable(rows)
    if count == 1:
        return wanted
    digits = pc.coalesce(rows["series_key"], rows["object_id"]).to_pylist()
    return pc.and_(wanted, pa.chunked_array([pa.array([int(text[:8], 16) % count == number for text in digits])]))


def _finish(work: _Work, source: dict[str, Any], watch: Progress) -> dict[str, Any]:
    """Write the index, remove what killed runs left, write the sums and, last, the manifest."""
    out, counts = work.settings.out, Funnel()
    shards = storage.join(out, SHARDS)

    def facts() -> dict[str, Any]:
        sweep(shards, keep={line.split()[1] for line in work.sums})
        storage.write_bytes(storage.join(shards, SUMS), "".join(work.sums).encode())
        return {
            "archive": source["archive"],
            "packed_from": work.settings.index,
            "paths": work.settings.paths,
            "key_check": key_check(work.key),
            "shards": len(work.sums),
            "packed": dict(work.packed),
            "stays": dict(work.stays),
            "index_funnel": source["funnel"],
            "funnel": counts.facts(),
            "run": watch.summary(),
        }

    manifest = tables.finish(out, "index", counts.counted(work.rows()), schema=INDEX, facts=facts)
    _say_what_was_done(manifest)
    say_funnels("pack", {"index": source["funnel"], "packed index": manifest["funnel"]})
    watch.say_summary(manifest["run"])
    return manifest


def _say_what_was_done(manifest: dict[str, Any]) -> None:
    packed, stays = manifest["packed"], Counter(manifest["stays"])
    say(f"pack: {packed['objects']:,} objects ({packed['bytes'] / 1e6:,.1f} MB) in {manifest['shards']:,} shards")
    if stays:
        said = ", ".join(f"{why.partition(':')[2]} {count:,}" for why, count in stays.most_common())
        say(f"pack: {stays.total():,} stay where they are ({said})")
