"""All DICOM of the real data sets as one archive on Ceph: indexed, packed and scored, each killed twice, and verified.

    MEDRAY_DATA=… python -m benchmarks.bulk

Objects of every kind lie in it: CT, PET, MR, radiographs in all codecs, ultrasound clips, RTSTRUCT, SEG, SR, PDF, files
that are no DICOM, and 40 whose second half is cut off. Drivers of the three commands get SIGKILL twice each, the first
time soon after their first part file, and are given again. Predictions must be, row by row, those of a run that nobody
killed; frames are averaged to series as well.
"""

import os
import secrets
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import boto3

from benchmarks.drawn_bundle import drawn_bundle
from benchmarks.results_writer import write_result
from benchmarks.road import command, data_folder, medray, real_archive, work_folder
from medray import storage, tables
from medray.image_settings import SampleRecipe
from medray.settings import Recipe
from tests.ceph import Ceph
from tests.pipelines.processes import Driver

SETS = ("dcm_qa_nih", "dcm_qa_ts", "dcmqi", "encapsulated", "ibsi", "multiframe", "wg04")
MADE = {"pneumonia_dicom": 900, "pocus_dicom": 83}  # of tools/make_archives.py; files taken
CUT = 40
KILLS = 2
BETWEEN_S = 3.0  # from the first part file to the second kill


def objects(work: Path) -> dict[str, Path]:
    """Files by their name in the archive."""
    found = {f"{name}/{path.relative_to(data_folder() / name)}": path
             for name in SETS for path in sorted((data_folder() / name).rglob("*")) if path.is_file()}  # fmt: skip
    for name, count in MADE.items():
        folder = real_archive(name, work)
        for path in sorted(folder.rglob("*.dcm"))[:count]:
            found[f"{name}/{path.relative_to(folder)}"] = path
    return found


def upload(work: Path, root: str) -> dict[str, int]:
    """Fill the archive; how many objects and bytes."""
    files, size = objects(work), 0
    for name, path in files.items():
        storage.write_bytes(f"{root}/{name}", content := path.read_bytes())
        size += len(content)
    for number, path in enumerate(list(files.values())[:: len(files) // CUT][:CUT]):
        content = path.read_bytes()
        storage.write_bytes(f"{root}/cut/{number:03d}.dcm", content[: len(content) // 2])
    return {"objects": len(files) + CUT, "bytes": size}


def killed(verb: str, out: str, seen: str, **flags: Any) -> dict[str, Any]:
    """Give a command that is killed twice, then to its end; seconds, and the parts that each kill left."""
    left, started = [0], time.perf_counter()
    for number in range(KILLS):
        with Driver(*command(verb, out=out, **flags)) as driver:
            driver.wait_until(lambda: len(storage.names(f"{out}/{seen}")) > left[-1])
            time.sleep(BETWEEN_S * number)
            driver.kill()
        left.append(len(storage.names(f"{out}/{seen}")))
    medray(verb, out=out, **flags)
    return {"parts_at_kills": left[1:], "seconds": round(time.perf_counter() - started, 1)}


def rows_of(out: str) -> list[dict[str, Any]]:
    """Rows of a table in the order of their keys."""
    rows: list[dict[str, Any]] = tables.read_table(out).sort_by("sample_id").to_pylist()
    return rows


def scored(root: str, name: str, bundle: str, **flags: Any) -> dict[str, Any]:
    """Score the packed archive with a bundle, killed twice, and undisturbed; how the two differ."""
    out, whole = f"{root}/{name}", f"{root}/{name}-undisturbed"
    once = {"source": f"{root}/packed", "bundle": bundle, "ray__unit_bytes": 4 * 2**20, **flags}
    figures = killed("score", out, tables.PARTS, **once)
    medray("score", out=whole, **once)
    medray("score", verify=out)
    found, wanted = rows_of(out), rows_of(whole)
    return figures | {
        "rows": len(found),
        "doubled": len(found) - len({row["sample_id"] for row in found}),
        "equal_to_undisturbed": found == wanted,
        "ledger": tables.read_manifest(out)["funnel"],
    }


def main() -> None:
    """Everything in a row; a difference ends it."""
    work = work_folder("bulk")
    with Ceph(work / "ceph") as ceph:
        os.environ |= {**ceph.environment, "MEDRAY_KEY": secrets.token_hex(16)}
        boto3.Session().client("s3").create_bucket(Bucket="medray-bulk")
        root = "s3://medray-bulk"
        figures: dict[str, Any] = {"archive": upload(work, f"{root}/archive")}
        for of in ("frame", "series"):
            drawn_bundle(f"{root}/bundle-{of}", "cnn", Recipe(size=128, sample=SampleRecipe(of)))
        index, packed = f"{root}/index", f"{root}/packed"
        figures["index"] = killed("index", index, tables.PARTS, objects_per_task=32, archive=f"{root}/archive")
        figures["pack"] = killed("pack", packed, "shards", index=index, shard_bytes=8 * 2**20)
        grouped = {"aggregate": "mean", "aggregate_to": "series"}
        figures["frames"] = scored(root, "frames", f"{root}/bundle-frame", **grouped)
        figures["series"] = scored(root, "series", f"{root}/bundle-series")
        medray("score", out=f"{root}/loose", source=index, bundle=f"{root}/bundle-frame")
        found, loose = (rows_of(f"{root}/{name}") for name in ("frames", "loose"))
        figures["same_outcomes_as_loose"] = outcomes(found) == outcomes(loose)
        figures["groups"] = tables.read_manifest(f"{root}/frames/{tables.AGGREGATES}/series-mean")["rows"]
        figures["ledgers"] = {name: tables.read_manifest(f"{root}/{name}")["funnel"] for name in ("index", "packed")}
    write_result("bulk", figures)
    each = (figures["frames"], figures["series"])
    if not all(one["equal_to_undisturbed"] and not one["doubled"] for one in each):
        sys.exit("a killed run is not the undisturbed one")


def outcomes(rows: list[dict[str, Any]]) -> Counter[tuple[str, str]]:
    """How often each status with its reason."""
    return Counter((row["status"], row["reason"]) for row in rows)


if __name__ == "__main__":
    main()
