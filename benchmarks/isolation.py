"""What it costs that frames are decoded in a process that may die: the files of decode.py, with and without it.

    MEDRAY_DATA=folder python benchmarks/isolation.py

Both ways read, decode and prepare the same unit of files (224 x 224) to the same Arrow table, in turns. CPU time is
that of this process and of the decoding process together; the least of the turns is compared. `overhead` of 0.03 means
that isolation takes 3 % more. The unit of small images, a CT slice in each syntax, is the hard one.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.encoded import IMAGES, dicom_file, syntaxes_of
from benchmarks.results_writer import write_result
from benchmarks.road import data_folder, medray, work_folder
from medray import tables
from medray.allocator import keep_freed_memory
from medray.archive.identity import load_key
from medray.image_settings import DecodeSettings
from medray.samples.isolated import isolated_images_of
from medray.samples.prepare import images_of
from medray.settings import Recipe

RECIPE = Recipe(size=224)
TURNS = 7
UNITS = {"CT slices": ("CT 512x512 int16",), "every image of decode.py": tuple(IMAGES)}
COPIES = {"CT slices": 8, "every image of decode.py": 1}
GOAL = 0.03


def write_archive(folder: Path, name: str) -> Path:
    """The unit's images in every syntax that decode.py measures, as files."""
    folder.mkdir(parents=True, exist_ok=True)
    for image in UNITS[name]:
        for syntax in syntaxes_of(image):
            for copy in range(COPIES[name]):
                path = folder / f"{image[:2]}-{syntax.strip('.')}-{copy}.dcm"
                path.write_bytes(dicom_file(data_folder() / "wg04", image, syntax))
    return folder


def cpu_s() -> float:
    """CPU seconds of this process and of its children so far."""
    processes = [psutil.Process(), *psutil.Process().children()]
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def compare(rows: pa.Table, key: bytes) -> dict[str, Any]:
    """Least wall and CPU milliseconds of a unit in both ways."""
    ways: dict[str, Callable[[], pa.Table]] = {
        "in_this_process": lambda: images_of(rows, key, RECIPE),
        "isolated": lambda: isolated_images_of(rows, key, RECIPE, DecodeSettings()),
    }
    tables_made = [way().drop_columns(["image"]) for way in ways.values()]
    assert tables_made[0].equals(tables_made[1]), "the two ways differ"
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, way in ways.items():
            started, spent = time.perf_counter(), cpu_s()
            way()
            wall[name].append(time.perf_counter() - started)
            cpu[name].append(cpu_s() - spent)
    return {
        "frames": len(tables_made[0]),
        "wall_ms": {name: round(1000 * min(found), 1) for name, found in wall.items()},
        "overhead": round(min(wall["isolated"]) / min(wall["in_this_process"]) - 1, 4),
        "cpu_overhead": round(min(cpu["isolated"]) / min(cpu["in_this_process"]) - 1, 4),
    }


def main() -> None:
    """Measure both units, say and keep."""
    keep_freed_memory()
    work, key = work_folder("isolation"), load_key(None)
    found: dict[str, Any] = {"goal": GOAL}
    for name in UNITS:
        place = work / name.replace(" ", "-")
        medray("index", archive=write_archive(place / "archive", name), out=place / "index")
        rows = tables.read_table(str(place / "index"))
        found[name] = compare(rows.filter(pc.equal(rows["status"], "ok")), key)
        print(f"{name}: {found[name]}", flush=True)
    write_result("isolation", found)


if __name__ == "__main__":
    main()
