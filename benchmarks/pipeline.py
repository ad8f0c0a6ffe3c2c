"""Images a second of read → decode → 224 × 224 float32: medray's warm pipeline, a torch DataLoader, bare loops.

    MEDRAY_DATA=… python benchmarks/pipeline.py [REPEATS]

The same functions on the same files in one run: (a) a bare loop in one process times the CPUs, the limit; (b) a torch
DataLoader with two workers, which hand over images for it to collate, or whole units (the faster one is the peer);
(c) medray: units to warm actors, their blocks taken by the driver. (b) and (c) are interleaved, medians are compared.
The clock of (b) and (c) starts when the first `WARM` of the units' images are there: workers and actors run by then.
"""

import os
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from benchmarks.results_writer import write_result
from benchmarks.road import medray, real_archive, work_folder
from medray import tables
from medray.archive.identity import load_key
from medray.pipelines.cluster import cluster
from medray.pipelines.units import PlannedUnit, on_actors, unit_of, write_plan
from medray.samples.isolated import prepare_unit
from medray.samples.prepare import images_of
from medray.samples.tables import image_batch, usable
from medray.samples.units import cut_units
from medray.settings import RaySettings, Recipe

RECIPE = Recipe(size=224)
WORKERS = 2
BATCH = 64
UNIT_IMAGES = 128  # a block of about 26 MB of prepared images
PASSES = 16  # over the archive: some ten seconds
WARM = 0.15  # of a run


def images_in(table: pa.Table) -> int:
    """Usable images of a prepared table, touched once as a float32 batch."""
    batch = image_batch(usable(table), RECIPE)
    return len(batch) if batch[:, 0, 0, 0].sum() == batch[:, 0, 0, 0].sum() else 0


class Preparation:
    """A unit to prepared images, in a warm actor."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def __call__(self, block: pa.Table) -> pa.Table:
        """The images of the unit that a row names."""
        return prepare_unit(unit_of(block).rows(), self.key, RECIPE, "image")


class Images(IterableDataset[torch.Tensor]):
    """The same behind a DataLoader: each worker takes every second unit and yields its images, or all at once."""

    def __init__(self, units: list[PlannedUnit], key: bytes, *, whole: bool) -> None:
        super().__init__()
        self.units, self.key, self.whole = units, key, whole

    def __iter__(self) -> Iterator[torch.Tensor]:
        """Images, one at a time for a DataLoader to batch, or a unit's as one batch."""
        info = get_worker_info()
        first, step = (info.id, info.num_workers) if info else (0, 1)
        for unit in self.units[first::step]:
            images = torch.from_numpy(image_batch(usable(images_of(unit.rows(), self.key, RECIPE)), RECIPE).copy())
            yield from [images] if self.whole else images


def rate(counts: Iterable[int], total: int) -> float:
    """Images a second after the first `WARM` of the images."""
    seen, first, started = 0, None, 0.0
    for count in counts:
        seen += count
        if first is None and seen >= WARM * total:
            first, started = seen, time.perf_counter()
    return (seen - (first or 0)) / (time.perf_counter() - started)


def bare(units: list[PlannedUnit], key: bytes) -> Iterator[int]:
    """One process without any framework."""
    return (images_in(images_of(unit.rows(), key, RECIPE)) for unit in units)


def data_loader(units: list[PlannedUnit], key: bytes, *, whole: bool) -> Iterator[int]:
    """Batches of a DataLoader."""
    images = Images(units, key, whole=whole)
    return (len(batch) for batch in DataLoader(images, batch_size=None if whole else BATCH, num_workers=WORKERS))


def warm_actors(units: list[PlannedUnit], key: bytes) -> Iterator[int]:
    """Blocks of medray's actors."""
    dataset = on_actors(units, Preparation, (key,), actors=WORKERS, settings=RaySettings())
    blocks = dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=2)
    return (images_in(block) for block in blocks)


def archive_rows(work: Path, name: str) -> pa.Table:
    """Index rows of a real archive's images."""
    archive = real_archive(name, work / "archives")
    medray("index", archive=archive, out=work / f"{name}-index")
    rows = tables.read_table(str(work / f"{name}-index"))
    return rows.filter(pc.equal(rows["status"], "ok"))


def compare(units: list[PlannedUnit], key: bytes, repeats: int) -> dict[str, Any]:
    """Interleaved runs; medians in images a second, and the ratios."""
    runs: dict[str, list[float]] = {"bare_loop": [], "dataloader_images": [], "dataloader_units": [], "medray": []}
    total = sum(bare(units[: len(units) // PASSES], key)) * PASSES
    for _ in range(repeats):
        runs["bare_loop"].append(rate(bare(units[: len(units) // 4], key), total // 4))
        runs["dataloader_images"].append(rate(data_loader(units, key, whole=False), total))
        runs["dataloader_units"].append(rate(data_loader(units, key, whole=True), total))
        runs["medray"].append(rate(warm_actors(units, key), total))
    median = {name: statistics.median(found) for name, found in runs.items()}
    return {
        "images": total,
        "units": len(units),
        "images_per_s": {name: {"median": median[name], "runs": runs[name]} for name in runs},
        "ratio_to_dataloader": median["medray"] / max(median["dataloader_images"], median["dataloader_units"]),
        "ratio_to_bare_loop": median["medray"] / (median["bare_loop"] * (os.cpu_count() or 1)),
    }


def main() -> None:
    """Compare on ultrasound PNG and on slices of CT and PET as DICOM, and write the ratios."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    torch.set_num_threads(1)
    work, key = work_folder("pipeline"), load_key(None)
    figures: dict[str, Any] = {"repeats": repeats, "workers": WORKERS, "cpus": os.cpu_count()}
    with cluster(RaySettings()):
        for name in ("busi", "tumour_dicom"):
            units = cut_units(archive_rows(work, name), RaySettings().unit_bytes, max_rows=UNIT_IMAGES)
            figures[name] = compare(write_plan(str(work / f"{name}-units"), units) * PASSES, key, repeats)
    for ratio in ("ratio_to_dataloader", "ratio_to_bare_loop"):
        figures[ratio] = min(figures[name][ratio] for name in ("busi", "tumour_dicom"))
    write_result("pipeline", figures)


if __name__ == "__main__":
    main()
