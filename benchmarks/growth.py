"""Images a second, memory and spilled bytes of `medray score` on 1,000, 10,000 and 100,000 samples.

    MEDRAY_DATA=… python -m benchmarks.growth [COUNT …]

The frames of benchmarks/score.py, `cnn` at 128 x 128, a process of its own for each count. The rate is the warm one of
the manifest: from the first finished unit to the last. Memory is private memory, the largest seen.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.generated_index import repeat_index
from benchmarks.memory import watching
from benchmarks.results_writer import write_result
from benchmarks.road import ROOT, work_folder
from benchmarks.score import SHARES, lay_out_road

COUNTS = (1_000, 10_000, 100_000)


def one(work: Path, count: int) -> dict[str, Any]:
    """Score so many samples in this process, on a cluster of its own."""
    import ray
    from ray._private.internal_api import memory_summary

    from medray.pipelines.cluster import cluster
    from medray.pipelines.score import score
    from medray.settings import RaySettings, ScoreSettings

    with cluster(RaySettings()), watching(os.getpid()) as peaks:
        out = work / f"predictions-{count}"
        manifest = score(ScoreSettings(str(work / f"index-{count}"), str(out), str(work / "bundles" / "cnn")))
        address = ray.get_runtime_context().gcs_address
        spilled = [line for line in memory_summary(address, stats_only=True).splitlines() if "pilled" in line]
    return {
        "samples": count,
        "images_per_s": manifest["run"]["warm_images_per_s"],
        "driver_mb": round(peaks.driver),
        "worker_mb": round(max(peaks.workers.values())),
        "decoder_mb": round(max(peaks.decoders.values())),
        "mb_by_quarter": peaks.by_quarter(),
        "spilled": spilled,
    }


def main() -> None:
    """Each count in turn, and the largest change between them."""
    if sys.argv[1:2] == ["one"]:
        print(json.dumps(one(Path(sys.argv[2]), int(sys.argv[3]))), flush=True)
        return
    work, counts = work_folder("growth"), tuple(map(int, sys.argv[1:])) or COUNTS
    lay_out_road(work)
    found = []
    for count in counts:
        repeat_index(work / "index", work / f"index-{count}", count, SHARES)
        command = [sys.executable, "-m", "benchmarks.growth", "one", str(work), str(count)]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
        print(found[-1], flush=True)
    figures: dict[str, Any] = {name: [row[name] for row in found] for name in found[0] if name != "spilled"}
    figures["spilled_bytes"] = 0 if not any(row["spilled"] for row in found) else [row["spilled"] for row in found]
    for name in ("images_per_s", "driver_mb", "worker_mb", "decoder_mb"):
        figures[f"{name}_largest_to_least"] = max(figures[name]) / min(figures[name])
    write_result("growth", figures)


if __name__ == "__main__":
    main()
