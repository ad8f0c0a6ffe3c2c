"""How soon the first unit of a large index is scored, and what the driver holds meanwhile.

    MEDRAY_DATA=… python -m benchmarks.index_scale [ROWS …]

`medray score` on a generated index of 10^3, 10^6 and 10^7 rows, killed when it has scored and planned a while: the time
from the command to the first part file, and the driver's private memory until then and until the end. The smallest
index tells what a start costs anyway: Python, Ray and its actors.
"""

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.generated_index import repeat_index
from benchmarks.memory import watching
from benchmarks.results_writer import kept_result, write_result
from benchmarks.road import ROOT, work_folder
from benchmarks.score import SHARES, lay_out_road
from medray import tables

ROWS = (10**3, 10**6, 10**7)
WATCHED_S = 90.0


def first_unit(work: Path, rows: int) -> dict[str, Any]:
    """Start scoring, and watch."""
    out = work / f"predictions-{rows}"
    command = [sys.executable, "-m", "medray.cli", "score", "--source", str(work / f"index-{rows}"), "--out", str(out)]
    started = time.perf_counter()
    process = subprocess.Popen([*command, "--bundle", str(work / "bundles" / "cnn")], cwd=ROOT)
    try:
        with watching(process.pid) as peaks:
            while not tables.finished_parts(str(out)):
                if process.poll() is not None:
                    sys.exit("medray score ended too soon")
                time.sleep(0.1)
            first_s, first_mb = time.perf_counter() - started, peaks.driver
            with suppress(subprocess.TimeoutExpired):
                process.wait(WATCHED_S)
    finally:
        process.kill()
        process.wait()
    planned = len(list((out / "_plan").glob("plan-*.parquet")))
    later = {"driver_mb": round(peaks.driver), "plan_files": planned, "watched_s": WATCHED_S}
    return {"first_unit_s": round(first_s, 2), "driver_mb_at_first_unit": round(first_mb), **later}


def main() -> None:
    """Each size in turn."""
    work, sizes = work_folder("index-scale"), tuple(map(int, sys.argv[1:])) or ROWS
    lay_out_road(work)
    for rows in sizes:
        repeat_index(work / "index", work / f"index-{rows}", rows, SHARES)
        found = first_unit(work, rows)
        write_result("index_scale", kept_result("index_scale") | {f"{rows} rows": found})


if __name__ == "__main__":
    main()
