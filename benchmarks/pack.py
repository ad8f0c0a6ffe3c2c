"""Small objects in S3, loose and packed: objects a second as medray reads and prepares them, and as others read them.

    MEDRAY_DATA=… python benchmarks/pack.py

A real Ceph of Debian's packages on loopback (moto's server where there is none; the figures say which) holds 3,000
chest X-rays of about 1 kB and 400 CT slices of 0.5 MB, as loose objects and as what `medray pack` makes of them. Each
reader goes to the store itself, whose answer on loopback takes less than a millisecond, and through a proxy that lets
every request wait 20 ms: object stores answer after 10 to 50. Ways are interleaved, the median of three rounds counts.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.compute as pc
import pydicom
from botocore.config import Config
from pydicom.uid import generate_uid

from benchmarks.latency import later
from benchmarks.results_writer import write_result
from benchmarks.road import data_folder, medray, real_archive, work_folder
from medray import storage, tables
from medray.archive.checksums import crc32
from medray.archive.identity import load_key, unseal
from medray.archive.reading import read_objects
from medray.samples.prepare import images_of
from medray.samples.units import cut_units
from medray.settings import RaySettings, Recipe
from tests.ceph import Ceph, missing_programs

BUCKET = "medray-pack"
XRAYS, SERIES, SLICES = 3000, 10, 40
LATENCY_MS = 20
ROUNDS = 3
THREADS = 8
PEER_OBJECTS = 300  # of the loops that wait for each answer
RECIPES = {"xrays": Recipe(size=28), "ct": Recipe(size=128)}


@contextmanager
def store(work: Path) -> Iterator[str]:
    """A store with an empty bucket, which the environment names; what it is."""
    with ExitStack() as stack:
        if missing_programs():
            from moto.server import ThreadedMotoServer

            server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
            server.start()
            stack.callback(server.stop)
            address = "http://{}:{}".format(*server.get_host_and_port())
            secrets = {"AWS_ACCESS_KEY_ID": "moto-access-key", "AWS_SECRET_ACCESS_KEY": "moto-secret-key"}
            os.environ |= {**secrets, "AWS_ENDPOINT_URL": address, "AWS_DEFAULT_REGION": "us-east-1"}
            name = "moto"
        else:
            os.environ |= stack.enter_context(Ceph(work / "ceph")).environment
            name = "ceph"
        client().create_bucket(Bucket=BUCKET)
        yield name


def client() -> Any:
    """A client of boto3 with a connection for each thread."""
    return boto3.Session().client("s3", config=Config(max_pool_connections=THREADS))


def ct_slices(folder: Path) -> None:
    """Real slices of 512 x 512 CT, 0.5 MB each, as the slices of several series."""
    originals = [pydicom.dcmread(path) for path in sorted((data_folder() / "dcmqi/segmentations/ct-3slice").glob("*"))]
    originals = [dataset for dataset in originals if dataset.get("Rows") == 512 and dataset.get("Modality") == "CT"]
    for series in range(SERIES):
        (folder / str(series)).mkdir(parents=True)
        uid = generate_uid(entropy_srcs=["series", str(series)])
        for number in range(SLICES):
            dataset = originals[number % len(originals)]
            dataset.SeriesInstanceUID = uid
            dataset.SOPInstanceUID = generate_uid(entropy_srcs=[uid, str(number)])
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            dataset.ImagePositionPatient, dataset.InstanceNumber = [0, 0, 2.5 * number], number + 1
            dataset.save_as(folder / str(series) / f"{number:03d}")


def upload(files: list[Path], folder: Path, prefix: str) -> int:
    """Files as objects under a prefix; their bytes."""
    s3 = client()
    with ThreadPoolExecutor(THREADS) as threads:
        puts = [(path, f"{prefix}/{path.relative_to(folder).as_posix()}") for path in files]
        list(threads.map(lambda put: s3.upload_file(str(put[0]), BUCKET, put[1]), puts))
    return sum(path.stat().st_size for path in files)


class Archive:
    """An archive in the store, loose and packed, and the ways to read it: each returns how many objects it read."""

    def __init__(self, name: str) -> None:
        self.name, self.key, self.root = name, load_key(), f"s3://{BUCKET}/{name}"
        medray("index", archive=f"{self.root}/archive", out=f"{self.root}/index")
        self.pack_s = medray("pack", index=f"{self.root}/index", out=f"{self.root}/packed")
        self.units = {
            kind: self._units(f"{self.root}/{out}") for kind, out in (("loose", "index"), ("packed", "packed"))
        }
        self.names = [unseal(self.key, uri) for unit in self.units["loose"] for uri in unit["uri"].to_pylist()]

    def _units(self, index: str) -> list[pa.Table]:
        rows = tables.read_table(index)
        return [unit.rows for unit in cut_units(rows.filter(pc.equal(rows["status"], "ok")), RaySettings().unit_bytes)]

    def read(self, kind: str) -> int:
        """As every job of medray reads: a unit after the other."""
        found = [content for unit in self.units[kind] for content in read_objects(unit.to_pylist(), self.key)]
        assert all(isinstance(content, bytes) for content in found)
        return len(found)

    def prepare(self, kind: str) -> int:
        """Read, decode, recipe: model input, on one core."""
        recipe = RECIPES[self.name]
        found = [images_of(unit, self.key, recipe) for unit in self.units[kind]]
        assert all(set(table["status"].to_pylist()) == {"ok"} for table in found)
        return sum(table.num_rows for table in found)

    def boto3_threads(self) -> int:
        """A plain pool of threads on loose objects, as an S3 connector of a DataLoader has it."""
        s3 = client()
        with ThreadPoolExecutor(THREADS) as threads:
            return len(list(threads.map(lambda uri: _get(s3, uri), self.names)))

    def boto3_loop(self) -> int:
        """One object after the other."""
        s3 = client()
        return len([_get(s3, uri) for uri in islice(self.names, PEER_OBJECTS)])

    def s3fs_loop(self) -> int:
        """One object after the other, by fsspec."""
        return len([storage.read_bytes(uri) for uri in islice(self.names, PEER_OBJECTS)])

    def ways(self) -> dict[str, Callable[[], int]]:
        """All of them by name."""
        ours = {f"{kind}_{way.__name__}": (lambda way=way, kind=kind: way(kind))
                for way in (self.read, self.prepare) for kind in ("loose", "packed")}  # fmt: skip
        return {**ours, "boto3_threads": self.boto3_threads, "boto3_loop": self.boto3_loop, "s3fs_loop": self.s3fs_loop}


def _get(s3: Any, uri: str) -> bytes:
    bucket, _, name = uri.removeprefix("s3://").partition("/")
    body: bytes = s3.get_object(Bucket=bucket, Key=name)["Body"].read()
    return body


def rates(archive: Archive, endpoint: str) -> dict[str, float]:
    """Objects a second of each way: the median of the rounds."""
    os.environ["AWS_ENDPOINT_URL"] = endpoint
    storage._filesystem.cache_clear()
    found: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, way in archive.ways().items():
            started = time.perf_counter()
            count = way()
            found.setdefault(name, []).append(count / (time.perf_counter() - started))
    print(
        archive.name, endpoint, {name: round(statistics.median(each)) for name, each in found.items()}, file=sys.stderr
    )
    return {name: round(statistics.median(each), 1) for name, each in found.items()}


def checking_share(archive: Archive) -> float:
    """Share of the time of reading packed objects from the store that their checksums take."""
    rows = [row for unit in archive.units["packed"] for row in unit.to_pylist()]
    contents = [content for content in read_objects(rows, archive.key) if isinstance(content, bytes)]
    started = time.perf_counter()
    for content in contents:
        crc32(content)
    checking = time.perf_counter() - started
    started = time.perf_counter()
    archive.read("packed")
    return checking / (time.perf_counter() - started)


def figures(archive: Archive) -> dict[str, Any]:
    """All that is measured of an archive."""
    direct = os.environ["AWS_ENDPOINT_URL"]
    share = checking_share(archive)
    loopback = rates(archive, direct)
    with later(direct, LATENCY_MS) as endpoint:
        distant = rates(archive, endpoint)
    os.environ["AWS_ENDPOINT_URL"] = direct
    storage._filesystem.cache_clear()
    speedups = {
        f"speedup_{way}_{label}": round(found[f"packed_{way}"] / found[f"loose_{way}"], 2)
        for label, found in (("loopback", loopback), (f"{LATENCY_MS}_ms", distant))
        for way in ("read", "prepare")
    }
    packed = tables.read_manifest(f"{archive.root}/packed")["packed"]
    return {
        **packed,
        **speedups,
        "packed_read_to_boto3_threads": round(distant["packed_read"] / distant["boto3_threads"], 2),
        "checksum_share_of_reading": round(share, 4),
        "pack_command_s": round(archive.pack_s, 1),
        "objects_per_s_loopback": loopback,
        f"objects_per_s_{LATENCY_MS}_ms": distant,
    }


def main() -> None:
    """Lay out, pack, measure, write."""
    work = work_folder("pack")
    xrays = real_archive("pneumonia_dicom", work)
    ct_slices(work / "ct")
    with store(work) as kind:
        upload(sorted(path for path in xrays.rglob("*.dcm"))[:XRAYS], xrays, "xrays/archive")
        upload(sorted(path for path in (work / "ct").rglob("*") if path.is_file()), work / "ct", "ct/archive")
        results = {name: figures(Archive(name)) for name in ("xrays", "ct")}
    speedup = results["xrays"][f"speedup_read_{LATENCY_MS}_ms"]
    write_result("pack", {"speedup_from_s3": speedup, "store": kind, "latency_ms": LATENCY_MS, **results})


if __name__ == "__main__":
    main()
