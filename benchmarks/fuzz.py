"""Wounded files through the whole road: an archive of mutants, `medray index`, `medray score`, on a Ray of two CPUs.

    MEDRAY_DATA=folder nice -n 15 python benchmarks/fuzz.py [INPUTS] [SEED]

20,000 mutants (benchmarks/mutants.py) of about 200 small files lie in tar shards; every twentieth lies loose, and every
hundredth is a wounded tar or zip. `one_status_each`: the archive's index holds each input exactly once, and the
predictions hold each sample of the index exactly once. `dead_workers` comes from Ray's own table of workers; the
decoding processes, which may die, are counted apart: `decoders_ended` by the reason that their frames got.
"""

import io
import os
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from benchmarks.mutants import CONTAINER_EVERY, Mutant, mutant
from benchmarks.originals import originals
from benchmarks.phantoms import make_phantom_archive
from benchmarks.processes import ProcessWatch
from benchmarks.results_writer import write_result
from benchmarks.road import medray, work_folder
from medray import tables
from medray.cli import main as command
from medray.pipelines.cluster import cluster
from medray.settings import RaySettings

INPUTS = 20_000
LOOSE_EVERY, SHARD_MEMBERS = 20, 500
CPUS = 2
FRAME_SECONDS, CROSS_CHECK = 30, 0.1
DECODER_REASONS = ("decoder_crashed", "decoder_timeout", "decoder_out_of_memory")
INTENDED = ("INTENDED_SYSTEM_EXIT", "INTENDED_USER_EXIT")


def lay_out(folder: Path, mutants: Iterator[Mutant]) -> list[str]:
    """Write the mutants as an archive; the path of each input in it."""
    paths = []
    shard: tarfile.TarFile | None = None
    members = 0
    (folder / "loose").mkdir(parents=True)
    for each in mutants:
        name = f"{each.number:06d}"
        if each.number % LOOSE_EVERY == LOOSE_EVERY - 1:
            (folder / "loose" / name).write_bytes(each.data)
            paths.append(f"loose/{name}")
            continue
        if shard is None or members % SHARD_MEMBERS == 0:
            if shard is not None:
                shard.close()
            shard = tarfile.open(folder / f"shard-{members // SHARD_MEMBERS:03d}.tar", "w")  # noqa: SIM115
        info = tarfile.TarInfo(name)
        info.size = len(each.data)
        shard.addfile(info, io.BytesIO(each.data))
        paths.append(f"shard-{members // SHARD_MEMBERS:03d}.tar/{name}")
        members += 1
    if shard is not None:
        shard.close()
    return paths


def bundle_of(work: Path) -> Path:
    """A small CNN, trained on phantoms: the run is about inputs, not about what the model says."""
    archive = make_phantom_archive(work / "phantoms", images=48, patients=12)
    labels = archive / "labels.csv"
    flags: dict[str, Any] = {"recipe__size": 28, "optimizer__epochs": 1, "ray__cpus": CPUS}
    medray("train", source=archive, labels__file=labels, out=work / "run", **flags)
    return work / "run" / "bundles" / "seed-0"


def dead_workers() -> list[str]:
    """What Ray says of each worker that ended without intention; without a dashboard it says so here only."""
    from ray._private.state import state
    from ray.core.generated import common_pb2, gcs_pb2

    protocol: Any = gcs_pb2
    names: Any = common_pb2
    rows = [protocol.WorkerTableData.FromString(raw) for raw in state._connect_and_get_accessor().get_worker_table()]
    ended = [row for row in rows if not row.is_alive and row.worker_type == names.WORKER]
    kinds = [(names.WorkerExitType.Name(row.exit_type), row.exit_detail) for row in ended]
    return [f"{kind}: {detail}" for kind, detail in kinds if kind not in INTENDED]


def inputs_by_rows(index: str, archive: Path) -> Counter[str]:
    """How many rows of the index each path of the archive has."""
    found: Counter[str] = Counter()
    for table in tables.iter_tables(index, ["uri", "member", "status"]):
        for row in table.to_pylist():
            assert row["status"] in ("ok", "skipped", "failed")
            path = os.path.relpath(row["uri"], archive)
            found[path if row["member"] is None else f"{path}/{row['member']}"] += 1
    return found


def samples_without_one_row(index: str, predictions: str) -> int:
    """Objects whose samples are not in the predictions exactly once each: all frames, or one failed row."""
    columns = ["object_id", "frame", "status"]
    frames: dict[str, list[int | None]] = {}
    for row in tables.read_table(predictions, columns).to_pylist():
        assert row["status"] in ("ok", "failed")
        frames.setdefault(row["object_id"], []).append(row["frame"])
    wrong = 0
    for row in tables.read_table(index, ["object_id", "frames", "status"]).to_pylist():
        found = frames.pop(row["object_id"], [])
        if row["status"] == "skipped":
            wrong += bool(found)
        else:
            wrong += found != [None] and not (row["status"] == "ok" and _each_once(found, row["frames"] or 1))
    return wrong + len(frames)


def _each_once(found: list[int | None], frames: int) -> bool:
    """Whether these are the frames 0 … frames - 1; a header may say a billion of them."""
    return len(found) == frames and set(found) == set(range(len(found)))


def reasons_of(table: pa.Table) -> dict[str, int]:
    """Rows by status and reason, the commonest first."""
    pairs = zip(table["status"].to_pylist(), table["reason"].to_pylist(), strict=True)
    return dict(Counter(f"{status}:{reason}" if reason else status for status, reason in pairs).most_common())


def run_jobs(archive: Path, work: Path, bundle: Path) -> tuple[dict[str, int], list[str]]:
    """Exit codes of `index` and `score`, and Ray's dead workers."""
    index, predictions = str(work / "index"), str(work / "predictions")
    limits = ["--decode.frame_seconds", str(FRAME_SECONDS), "--decode.cross_check", str(CROSS_CHECK)]
    with cluster(RaySettings(cpus=CPUS)):
        flags = ["--archive", str(archive), "--out", index, "--paths", "plain"]
        codes = {"index": command(["index", *flags])}
        flags = ["--source", index, "--bundle", str(bundle), "--out", predictions]
        codes["score"] = command(["score", *flags, *limits])
        dead = dead_workers()
    codes["verify"] = command(["score", "--verify", predictions])
    return codes, dead


def main() -> None:
    """Lay out, run, count and keep."""
    inputs = int(sys.argv[1]) if len(sys.argv) > 1 else INPUTS
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    data = os.environ.get("MEDRAY_DATA")
    work = work_folder("fuzz")
    files = originals(Path(data) if data else None)
    paths = lay_out(work / "archive", (mutant(files, number, seed) for number in range(inputs)))
    bundle = bundle_of(work)
    started = time.perf_counter()
    with ProcessWatch() as watch:
        codes, dead = run_jobs(work / "archive", work, bundle)
    index, predictions = str(work / "index"), str(work / "predictions")
    rows = inputs_by_rows(index, work / "archive")
    lost = [path for path in paths if rows[path] != 1]
    wrong = samples_without_one_row(index, predictions)
    samples = tables.read_table(predictions, ["status", "reason"])
    reasons = reasons_of(samples)
    figures: dict[str, Any] = {
        "inputs": len(paths),
        "seed": seed,
        "originals": len(files),
        "one_status_each": not lost and not wrong and max(rows.values()) == 1,
        "inputs_without_one_row": len(lost),
        "objects_without_their_samples": wrong,
        "dead_workers": len(dead),
        "how_they_died": dead[:10],
        "job_failures": sum(code != 0 for code in codes.values()),
        "internal": sum(count for name, count in reasons.items() if name.endswith(":internal")),
        "containers": inputs // CONTAINER_EVERY,
        "index": reasons_of(tables.read_table(index, ["status", "reason"])),
        "samples": samples.num_rows,
        "predictions": reasons,
        "decoders_ended": {name: reasons.get(f"failed:{name}", 0) for name in DECODER_REASONS},
        "processes": {kind: len(pids) for kind, pids in sorted(watch.pids.items())},
        "peak_private_mib": watch.peaks(),
        "seconds": round(time.perf_counter() - started),
    }
    write_result("fuzz", figures)


if __name__ == "__main__":
    main()
