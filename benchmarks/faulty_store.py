"""Index and score an archive on Ceph through a proxy that answers 5 % of the requests wrongly.

    python benchmarks/faulty_store.py

The archive is generated: 560 images and what is broken among them. Refusals (503, 500), torn connections before and
after the store did its work, late answers, cut and dripping bodies are drawn with equal chance. `failed_rows` are rows
that failed in this run and not in the undisturbed one; `equal` says that all rows are the same.
"""

import os
import secrets
from pathlib import Path
from typing import Any

import boto3

from benchmarks.drawn_bundle import drawn_bundle
from benchmarks.phantoms import make_phantom_archive
from benchmarks.results_writer import write_result
from benchmarks.road import medray, work_folder
from medray import storage, tables
from medray.settings import Recipe
from tests.ceph import Ceph
from tests.faulty_proxy import FaultyProxy
from tests.pipelines.processes import ray_apart

SHARE = 0.05
KEYS = {"index": "object_id", "scores": "sample_id"}


def fill(root: str, folder: Path) -> None:
    """Put an archive and a bundle with weights as they are drawn below the root."""
    make_phantom_archive(folder, images=560, size=64, patients=80)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        storage.write_bytes(storage.join(root, "archive", path.relative_to(folder).as_posix()), path.read_bytes())
    drawn_bundle(f"{root}/bundle", "cnn", Recipe(size=28))


def road(root: str, out: str) -> float:
    """Index and score; wall seconds."""
    place = f"{root}/{out}"
    seconds = medray("index", archive=f"{root}/archive", out=f"{place}/index", objects_per_task=16)
    scores = {"source": f"{place}/index", "bundle": f"{root}/bundle", "out": f"{place}/scores"}
    return seconds + medray("score", **scores, ray__unit_bytes=60_000)


def rows_of(root: str, out: str) -> list[dict[str, Any]]:
    """The rows of index and predictions, in the order of their keys."""
    sorted_tables = [tables.read_table(f"{root}/{out}/{name}").sort_by(key) for name, key in KEYS.items()]
    return [row for table in sorted_tables for row in table.to_pylist()]


def failed(rows: list[dict[str, Any]]) -> int:
    """How many of the rows are of what could not be read or used."""
    return sum(row["status"] == "failed" for row in rows)


def main() -> None:
    """Run the road twice, say and keep."""
    work = work_folder("faulty_store")
    with Ceph(work / "ceph") as ceph:
        os.environ.update(ceph.environment, MEDRAY_KEY=secrets.token_hex(16), RAY_AUTH_MODE="token")
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        bucket = f"medray-{secrets.token_hex(4)}"
        boto3.Session().client("s3").create_bucket(Bucket=bucket)
        root = f"s3://{bucket}"
        fill(root, work / "archive")
        with (
            ray_apart(dict(os.environ)) as address,
            FaultyProxy(ceph.environment["AWS_ENDPOINT_URL"]) as proxy,
        ):
            os.environ["RAY_ADDRESS"] = address
            seconds = {"undisturbed": road(root, "undisturbed")}
            os.environ["AWS_ENDPOINT_URL"] = proxy.endpoint
            seconds["through_proxy"] = road(root, "proxied")
            requests = proxy.counts.total()
            proxy.counts.clear()
            proxy.share = SHARE
            seconds["faulty"] = road(root, "faulty")
        undisturbed, faulty = rows_of(root, "undisturbed"), rows_of(root, "faulty")
    figures = {
        "faulty_share": round(proxy.faults / proxy.counts.total(), 4),
        "failed_rows": failed(faulty) - failed(undisturbed),
        "rows": len(faulty),
        "equal": faulty == undisturbed,
        "requests": {"through_proxy": requests, "faulty": proxy.counts.total()},
        "faults": {kind: count for kind, count in sorted(proxy.counts.items()) if kind != "fine"},
        "seconds": {name: round(took, 1) for name, took in seconds.items()},
    }
    write_result("faults", figures)


if __name__ == "__main__":
    main()
