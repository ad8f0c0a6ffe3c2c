"""`medray volume`: the series of an index as NIfTI files (and region graphs), and a table that says what they are."""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from medray import __version__, storage, tables
from medray.archive.fetching import read_objects
from medray.archive.identity import load_key
from medray.errors import GeometryError, SampleError, SettingsError
from medray.pipelines.index import generation_of, known_index
from medray.pipelines.progress import say
from medray.pipelines.volume_graphs import write_graphs
from medray.pixels.geometry import GeometryStatus
from medray.pixels.nifti import nifti_bytes, same_grid
from medray.pixels.volume import Volume, build_volumes, regular_parts
from medray.schema import VOLUMES

PLACES = ["uri", "member", "offset", "length", "compression", "checksum", "series_key", "format", "status"]

Row = dict[str, Any]


@dataclass(frozen=True)
class Output:
    """Where the files of a series go; `regions` of a volume's graph, None without graphs."""

    folder: str
    series_key: str
    regions: int | None

    def uri(self, name: str) -> str:
        """Of a file."""
        return storage.join(self.folder, name)


def volume(arguments: Sequence[str]) -> int:
    """Write each DICOM series of an index as NIfTI, and a table of all volumes: where slices are missing or at odd
    places there is a row that says so, and a file for each regular part only. Nothing is stretched or resampled.
    """
    parser = argparse.ArgumentParser(prog="medray volume", description=volume.__doc__)
    parser.add_argument("--index", required=True, help="an index table")
    parser.add_argument("--out", required=True, help="where the files and the table go")
    parser.add_argument("--key_file", help="file with the key; none = $MEDRAY_KEY, else ~/.config/medray/key")
    parser.add_argument("--series", action="append", default=[], help="only this series_key (may be repeated)")
    graphs = "also write region graphs: about N supervoxels a volume, compact in mm, as Parquet beside the NIfTI file"
    parser.add_argument("--graphs", type=int, metavar="N", help=graphs)
    parser.add_argument("--debug", action="store_true", help="a traceback instead of one line")
    given = parser.parse_args(arguments)
    if given.graphs is not None and given.graphs < 1:
        raise SettingsError(f"--graphs is {given.graphs}, and must be 1 or more.")
    index, out = storage.absolute(given.index), storage.absolute(given.out)
    if known_index(index, given.key_file) is None:
        raise SettingsError(f"{index} is an archive.", "Index it first, and give the index.")
    run = {"job": "volume", "index": index, "series": given.series, "graphs": given.graphs, "medray": __version__}
    run["generation"] = generation_of(index)
    if tables.claim(out, run):
        say(f"volume: {out} is finished already")
        return 0
    key = load_key(given.key_file)
    rows = (
        pa.Table.from_pylist(_rows_of(records, key, Output(out, series_key, given.graphs)), VOLUMES)
        for series_key, records in _series(index, given.series)
    )
    manifest = tables.finish(out, "volumes", rows, schema=VOLUMES, facts=lambda: {"source": index})
    say(f"volume: {manifest['rows']:,} rows and their files in {out}")
    return 0


def _series(index: str, chosen: list[str]) -> Iterator[tuple[str, list[Row]]]:
    """Each series with where its objects are."""
    table = tables.read_table(index, PLACES)
    wanted = pc.and_(pc.equal(table["status"], "ok"), pc.equal(table["format"], "dicom"))
    wanted = pc.and_(wanted, pc.is_valid(table["series_key"]))
    if chosen:
        wanted = pc.and_(wanted, pc.is_in(table["series_key"], pa.array(chosen, pa.string())))
    records = (row for part in table.filter(wanted).sort_by("series_key").to_batches() for row in part.to_pylist())
    for series_key, group in groupby(records, key=lambda row: row["series_key"]):
        yield str(series_key), list(group)


def _rows_of(records: list[Row], key: bytes, output: Output) -> list[Row]:
    """The rows of a series; its files are written on the way."""
    found = _volumes_of(records, key, output)
    return [{"series_key": output.series_key} | row for row in found]


def _volumes_of(records: list[Row], key: bytes, output: Output) -> list[Row]:
    read = list(read_objects(records, key))
    unread = [f"not_read:{item.reason.value}" for item in read if isinstance(item, SampleError)]
    try:
        series = build_volumes(item for item in read if not isinstance(item, SampleError))
    except SampleError as error:
        return [{"notes": [*unread, error.reason.value]}]
    except GeometryError:
        return [{"notes": [*unread, "in_colour"]}]
    lost = {"without_geometry": series.without_geometry, "copies": series.copies}
    notes = [*unread, *(f"refused:{reason}" for reason in series.refused)]
    notes += [f"{name}:{count}" for name, count in lost.items() if count]
    if not series.volumes:
        return [{"notes": notes}]
    return [
        row | {"notes": [*row["notes"], *notes]}
        for file, together in enumerate(_files(series.volumes))
        for row in _written(together, output, f"{output.series_key}-{file:02d}")
    ]


def _files(volumes: Sequence[Volume]) -> Iterator[list[tuple[int, Volume]]]:
    """What goes into one file: volumes of different phases on one grid; each regular part of one with gaps."""
    together: list[tuple[int, Volume]] = []
    for number, made in enumerate(volumes):
        if together and not (made.phase and same_grid(together[0][1], made)):
            yield together
            together = []
        if made.geometry_status is GeometryStatus.GAP:
            yield from ([(number, part)] for part in (made, *regular_parts(made)))
        else:
            together.append((number, made))
    if together:
        yield together


def _written(together: list[tuple[int, Volume]], output: Output, name: str) -> Iterator[Row]:
    """The rows of a file; the file itself, where NIfTI can hold its geometry, and the graphs of its volumes."""
    first, *later = [made for _, made in together]
    graphs, without = f"{name}.graphs.parquet", [""] * len(together)
    if first.affine is not None:
        storage.write_bytes(output.uri(f"{name}.nii.gz"), nifti_bytes(first, *later))
        if output.regions:
            without = write_graphs(output.uri(graphs), output.series_key, together, output.regions)
    for place, (number, made) in enumerate(together):
        slices, rows, columns = made.values.shape
        yield {
            "volume": number,
            "file": f"{name}.nii.gz" if made.affine is not None else None,
            "graphs": graphs if made.affine is not None and output.regions and not without[place] else None,
            "time_point": place,
            "slices": slices,
            "rows": rows,
            "columns": columns,
            "slice_spacing_mm": made.spacing_mm[0],
            "row_spacing_mm": made.spacing_mm[1],
            "column_spacing_mm": made.spacing_mm[2],
            "geometry_status": str(made.geometry_status),
            "phase": [f"{mark}={value}" for mark, value in made.phase],
            "notes": [*made.notes, *filter(None, [without[place]])],
        }
