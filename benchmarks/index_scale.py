"""How soon the first unit of a large index is scored, and what the driver holds meanwhile.

    MEDRAY_DATA=… python -m benchmarks.index_scale [ROWS …]

`medray score` on a generated index of 10^6 and of 10^7 rows, killed when it has scored and planned a while: the time
from the command to the first part file, and the driver's private memory until then and until the end.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.generated_index import repeat_index
from benchmarks.memory import watching
from benchmarks.results_writer import write_result
from benchmarks.road import ROOT, work_folder
from benchmarks.score import SHARES, lay_out_road
from medray import tables

ROWS = (10**6, 10**7)
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
            time.sleep(WATCHED_S)
    finally:
        process.kill()
        process.wait()
    planned = len(list((out / "_plan").glob("plan-*.parquet")))
    later = {"driver_mb": round(peaks.driver), "plan_files": planned, "watched_s": WATCHED_S}
    return {"rows": rows, "first_unit_s": round(first_s, 2), "driver_mb_at_first_unit": round(first_mb), **later}


def main() -> None:
    """Each size in turn."""
    work, sizes = work_folder("index-scale"), tuple(map(int, sys.argv[1:])) or ROWS
    lay_out_road(work)
    found = []
    for rows in sizes:
        repeat_index(work / "index", work / f"index-{rows}", rows, SHARES)
        found.append(first_unit(work, rows))
        print(found[-1], flush=True)
    write_result("index_scale", {name: [row[name] for row in found] for name in found[0]})


if __name__ == "__main__":
    main()
