"""Objects written piece by piece in bounded memory: each is there once it is whole, or not at all.

On S3 the pieces are the parts of a multipart upload, which no reader sees before it is completed; on POSIX they go to a
hidden temporary file and `os.replace`.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from medray import storage

PART_BYTES = 16 * 2**20  # S3 takes 10,000 parts of at least 5 MiB: 156 GiB
PARTIAL = ".partial"


class ObjectWriter(Protocol):
    """An object in the making."""

    def write(self, data: bytes | memoryview) -> None:
        """The next bytes."""
        ...

    def publish(self) -> str:
        """Make the object visible, in the place of an earlier one; its entity tag."""
        ...

    def discard(self) -> None:
        """Leave nothing behind."""
        ...


@contextmanager
def new_object(uri: str) -> Iterator[ObjectWriter]:
    """A writer for one object; what is not published when the block ends is discarded.

    Raises:
        StorageError: the store refuses it.
    """
    fs, path = storage.filesystem(uri)
    with storage.translating(uri):
        if storage.is_local(uri):
            writer: ObjectWriter = _File(Path(path))
        else:
            writer = _Multipart(fs, path) if uri.startswith("s3://") else _Held(uri)
        try:
            yield writer
        finally:
            writer.discard()


class _File:
    def __init__(self, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        self.target = target
        self.temporary = target.with_name(f".{target.name}.{os.getpid()}{PARTIAL}")
        self.file = open(self.temporary, "wb")  # noqa: SIM115 (closed by publish and discard)

    def write(self, data: bytes | memoryview) -> None:
        self.file.write(data)

    def publish(self) -> str:
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        os.replace(self.temporary, self.target)
        return next(storage.list_objects(str(self.target))).etag

    def discard(self) -> None:
        self.file.close()
        self.temporary.unlink(missing_ok=True)


class _Multipart:
    """An upload in parts; one PUT where a single part holds all."""

    def __init__(self, fs: Any, path: str) -> None:
        bucket, _, key = path.partition("/")
        self.fs, self.place = fs, {"Bucket": bucket, "Key": key}
        self.upload: dict[str, str] = {}
        self.parts: list[dict[str, Any]] = []
        self.held = bytearray()

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while len(self.held) + len(view) > PART_BYTES:
            taken = PART_BYTES - len(self.held)
            self.held += view[:taken]
            view = view[taken:]
            self._send()
        self.held += view

    def _send(self) -> None:
        if not self.upload:
            begun = self.fs.call_s3("create_multipart_upload", **self.place)
            self.upload = {"UploadId": begun["UploadId"]}
        number = len(self.parts) + 1
        sent = self.fs.call_s3("upload_part", **self.place, **self.upload, PartNumber=number, Body=bytes(self.held))
        self.parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        self.held.clear()

    def publish(self) -> str:
        if not self.upload:
            done = self.fs.call_s3("put_object", **self.place, Body=bytes(self.held))
        else:
            self._send()
            parts = {"Parts": self.parts}
            done = self.fs.call_s3("complete_multipart_upload", **self.place, **self.upload, MultipartUpload=parts)
            self.upload = {}
        if not done.get("ETag"):  # Ceph gives none for an upload of several parts
            done = self.fs.call_s3("head_object", **self.place)
        return str(done["ETag"]).strip('"')

    def discard(self) -> None:
        if self.upload:
            self.fs.call_s3("abort_multipart_upload", **self.place, **self.upload)
            self.upload = {}


class _Held:
    """Where a store has no upload that medray knows: the object in memory until it is published."""

    def __init__(self, uri: str) -> None:
        self.uri, self.held = uri, bytearray()

    def write(self, data: bytes | memoryview) -> None:
        self.held += data

    def publish(self) -> str:
        storage.write_bytes(self.uri, bytes(self.held))
        return next(storage.list_objects(self.uri)).etag

    def discard(self) -> None:
        self.held.clear()


def sweep(folder: str, keep: set[str]) -> int:
    """Remove from a folder what killed writers left: files of other names, uploads never completed; how many."""
    fs, path = storage.filesystem(folder)
    stray = [name for name in storage.names(folder) if name not in keep]
    for name in stray:
        storage.delete(storage.join(folder, name))
    if not folder.startswith("s3://"):
        return len(stray)
    bucket, _, prefix = path.partition("/")
    with storage.translating(folder):
        begun = list(_uploads(fs, bucket, f"{prefix.rstrip('/')}/"))
        for upload in begun:
            fs.call_s3("abort_multipart_upload", Bucket=bucket, **upload)
    return len(stray) + len(begun)


def _uploads(fs: Any, bucket: str, prefix: str) -> Iterator[dict[str, str]]:
    page = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix)
    while True:
        for item in page.get("Uploads", []):
            yield {"Key": item["Key"], "UploadId": item["UploadId"]}
        if not page.get("IsTruncated"):
            return
        after = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
        page = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix, **after)
