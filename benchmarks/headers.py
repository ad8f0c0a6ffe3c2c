"""Index rows a second on one core against pydicom's reading of the same attributes, on real DICOM files.

    MEDRAY_DATA=folder python benchmarks/headers.py

Both read local files that lie in the page cache. medray's time is all of an index row: ranged reads, header, checked
numbers, keyed hashes (their caches emptied before each pass), sealed name, Arrow table. The peer is
`pydicom.dcmread(stop_before_pixels=True)`, and with `specific_tags` too, then every value that an index row needs. CPU
time, passes over the set interleaved, the least of each. Then the same files are put on an S3 server of moto, and the
requests and bytes that each takes are counted.
"""

import logging
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pydicom
from moto.server import ThreadedMotoServer

from benchmarks.results_writer import write_result
from benchmarks.road import data_folder
from medray import storage
from medray.archive.identity import keyed_hash, seal
from medray.archive.objects import index_object, rows_to_table
from medray.archive.rows import INDEX_TAGS, Row
from medray.settings import IndexSettings

SETS = {"dcm_qa_nih": "dcm_qa_nih/In", "ibsi": "ibsi/dicom"}
KEY = b"0123456789abcdef0123456789abcdef"
PASSES = 7
META = [tag for tag in INDEX_TAGS if tag < 0x00080000]
TAGS = [tag for tag in INDEX_TAGS if tag >= 0x00080000]


def index_files(files: list[storage.StoredObject], settings: IndexSettings) -> list[Row]:
    """Every file's index rows, as an Arrow table too."""
    keyed_hash.cache_clear()
    seal.cache_clear()
    rows = [row for file in files for row in index_object(file, KEY, settings)]
    rows_to_table(rows)
    return rows


def read_by_pydicom(files: list[Path], **options: Any) -> None:
    """Every file's values of the attributes that an index row is made from."""
    for file in files:
        dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True, **options)
        for source, tags in ((dataset.file_meta, META), (dataset, TAGS)):
            for tag in tags:
                if tag in source:
                    _ = source[tag].value


def least_s(calls: dict[str, Callable[[], Any]], passes: int = PASSES) -> dict[str, float]:
    """Least CPU seconds of each call; the calls take turns, and the first turn does not count."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(passes + 1):
        for name, call in calls.items():
            start = time.process_time()
            call()
            if turn:
                times[name].append(time.process_time() - start)
    return {name: min(found) for name, found in times.items()}


def s3_figures(folder: Path, files: list[storage.StoredObject], bucket: str) -> dict[str, Any]:
    """Requests and bytes that indexing one file takes on S3."""
    for file in files:
        storage.write_bytes(f"s3://{bucket}/{file.path}", (folder / file.path).read_bytes())
    archive = f"s3://{bucket}"
    fetched: list[int] = []
    read_bytes = storage.read_bytes

    def counted(uri: str, offset: int = 0, length: int | None = None) -> bytes:
        data = read_bytes(uri, offset, length)
        fetched.append(len(data))
        return data

    with patch.object(storage, "read_bytes", counted):
        rows = index_files(list(storage.list_objects(archive)), IndexSettings(archive=archive, out="unused"))
    assert len(rows) == len(files) and sum(fetched) == sum(row["bytes_read"] for row in rows)
    return {"s3_requests_a_file": len(fetched) / len(rows), "s3_bytes_a_file": round(sum(fetched) / len(rows))}


@contextmanager
def s3_server(buckets: Iterable[str]) -> Iterator[None]:
    """An S3 server on loopback with empty buckets, which $AWS_ENDPOINT_URL names."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    keys = {"AWS_ACCESS_KEY_ID": "moto", "AWS_SECRET_ACCESS_KEY": "moto", "AWS_DEFAULT_REGION": "us-east-1"}
    endpoint = {"AWS_ENDPOINT_URL": "http://{}:{}".format(*server.get_host_and_port())}
    with patch.dict(os.environ, keys | endpoint):
        for bucket in buckets:
            boto3.Session().client("s3").create_bucket(Bucket=bucket)
        yield
    server.stop()


def set_figures(name: str, folder: Path) -> dict[str, Any]:
    """Rates of one set, and how much of its files the index reads."""
    settings = IndexSettings(archive=str(folder), out="unused")
    every = list(storage.list_objects(str(folder)))
    stored = [file for file in every if index_files([file], settings)[0]["format"] == "dicom"]
    files = [folder / file.path for file in stored]
    rows = index_files(stored, settings)
    times = least_s(
        {
            "medray": lambda: index_files(stored, settings),
            "pydicom": lambda: read_by_pydicom(files),
            "pydicom_specific_tags": lambda: read_by_pydicom(files, specific_tags=TAGS),
        }
    )
    read = [row["bytes_read"] for row in rows]
    statuses = [row["status"] for row in rows]
    return {
        "files": len(files),
        "statuses": {status: statuses.count(status) for status in sorted(set(statuses))},
        "rows_per_s": round(len(rows) / times["medray"]),
        "pydicom_per_s": round(len(rows) / times["pydicom"]),
        "pydicom_specific_tags_per_s": round(len(rows) / times["pydicom_specific_tags"]),
        "speedup_over_pydicom": round(times["pydicom"] / times["medray"], 2),
        "speedup_over_pydicom_specific_tags": round(times["pydicom_specific_tags"] / times["medray"], 2),
        "median_bytes_read": statistics.median(read),
        "mean_bytes_read": round(statistics.mean(read)),
        "mean_bytes_stored": round(statistics.mean(row["length"] for row in rows)),
        **s3_figures(folder, stored, bucket_of(name)),
    }


def bucket_of(name: str) -> str:
    """The bucket of a set; S3 allows no underscores in it."""
    return name.replace("_", "-")


def main() -> None:
    """Measure, say and keep."""
    warnings.simplefilter("ignore")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # moto's access log
    with s3_server(map(bucket_of, SETS)):
        figures = {name: set_figures(name, data_folder() / folder) for name, folder in SETS.items()}
    for name, found in figures.items():
        print(
            f"{name}: {found['rows_per_s']} rows/s, pydicom {found['pydicom_per_s']}: "
            f"{found['speedup_over_pydicom']} x; on S3 {found['s3_bytes_a_file']} bytes a file "
            f"in {found['s3_requests_a_file']:.2f} requests"
        )
    write_result("headers", figures)


if __name__ == "__main__":
    main()
