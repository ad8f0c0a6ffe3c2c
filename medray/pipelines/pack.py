"""`medray pack`: index → objects of a series together → tar shards of about 256 MB and the index of their members."""

from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medray import __version__, storage, tables
from medray.archive.identity import key_check, load_key
from medray.archive.shards import tar_shard
from medray.errors import ArchiveError
from medray.pipelines.cluster import cluster
from medray.pipelines.funnel import Funnel
from medray.pipelines.index import known_index
from medray.pipelines.progress import Progress, say, say_funnels
from medray.pipelines.units import PlannedUnit, ledger_of, ledger_row, planned_units, unit_dataset
from medray.samples.clock import running, stage, unit_clock
from medray.samples.units import cut_units
from medray.schema import INDEX
from medray.settings import PackSettings

MAX_OBJECTS = 100_000


@dataclass(frozen=True)
class ShardWriter:
    """Reads the objects of a unit and writes them as one tar shard, then the rows of its members as the part file."""

    settings: PackSettings
    key: bytes = field(repr=False)

    @unit_clock("pack")
    def __call__(self, unit: PlannedUnit) -> pa.Table:
        """Pack a unit; its ledger row."""
        rows = unit.rows().to_pylist()
        uri = storage.join(self.settings.out, "shards", f"shard-{unit.unit_id}.tar")
        with stage("read"):
            data, packed = tar_shard(rows, self.key, uri, sealed=self.settings.paths == "sealed")
        table = pa.Table.from_pylist(packed, schema=INDEX)
        pairs = zip(rows, packed, strict=True)
        running().bytes_read = sum(row["length"] for row, member in pairs if member["uri"] != row["uri"])
        with stage("write"):
            storage.write_bytes(uri, data)
            storage.write_parquet(tables.part_uri(self.settings.out, unit.unit_id), table)
        return ledger_row(unit.unit_id, table)


def pack(settings: PackSettings) -> dict[str, Any]:
    """Pack the images of an index into tar shards; the manifest of the shards' own index.

    Objects that are no images stay where they are. An object keeps its id, so labels that found it by path still do.

    Raises:
        ArchiveError: the index holds no image.
        OutputError: the output folder holds something else.
    """
    settings = replace(settings, out=storage.absolute(settings.out), index=storage.absolute(settings.index))
    source, key = tables.read_manifest(settings.index), load_key(settings.key_file)
    run = {"job": "pack", "index": settings.index, "generation": source["generation"], "medray": __version__}
    if tables.is_finished(settings.out, run):
        say(f"pack: {settings.out} is finished already")
        return tables.read_manifest(settings.out)
    known_index(settings.index, settings.key_file)
    rows = tables.read_table(settings.index)
    images = rows.filter(pc.not_equal(rows["status"], "skipped"))
    if not images.num_rows:
        raise ArchiveError(f"{settings.index} holds no images.", "Index an archive of DICOM, PNG, JPEG or TIFF.")
    watch = Progress("pack", price_per_hour=settings.price_per_hour)
    tables.claim(settings.out, run)
    with cluster(settings.ray):
        units = planned_units(
            settings.out, lambda: cut_units(images, settings.shard_bytes, max_rows=MAX_OBJECTS, size="length")
        )
        done = tables.finished_parts(settings.out)
        todo = [unit for unit in units if unit.unit_id not in done]
        if todo:
            dataset = unit_dataset(todo, ShardWriter(settings, key), name="pack", settings=settings.ray)
            for _ in watch.over(ledger_of(dataset, "pack"), total=len(todo)):
                pass
    facts = {
        "archive": source["archive"],
        "packed_from": settings.index,
        "paths": settings.paths,
        "key_check": key_check(key),
        "shards": len(units),
        "index_funnel": source["funnel"],
    }
    return _finish(settings, units, facts, watch)


def _finish(settings: PackSettings, units: list[PlannedUnit], facts: dict[str, Any], watch: Progress) -> dict[str, Any]:
    counts = Funnel()
    parts = counts.counted(tables.iter_parts(settings.out, [unit.unit_id for unit in units]))
    manifest = tables.finish(
        settings.out,
        "index",
        parts,
        schema=INDEX,
        facts=lambda: {**facts, "funnel": counts.facts(), "run": watch.summary()},
    )
    say(f"pack: {manifest['rows']:,} images in {len(units)} shards; their index is {settings.out}")
    say_funnels("pack", {"index": facts["index_funnel"], "images": manifest["funnel"]})
    watch.say_summary(manifest["run"])
    return manifest
