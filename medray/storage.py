"""Bytes and tables in any store: `s3://…`, `file:///…` and plain paths, through fsspec.

Reads are whole objects or ranges; writes are one PUT of a finished buffer (on POSIX a temporary file and `os.replace`),
so that no object is ever seen half-written. Credentials come from the usual AWS chain and are never logged; an endpoint
other than AWS is named by AWS_ENDPOINT_URL. What an object store refuses for the moment is asked for again by the rule
of `retries.py`; a file system is asked once.
"""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

from medray.errors import AccessDeniedError, FormatError, NotFoundError, StorageError
from medray.retries import CREDENTIALS_CURE, DENIED, EXPIRED, FULL, MISSING

FULL_ERRNO = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class StoredObject:
    """One object of a listing; `path` is relative to the listed root."""

    uri: str
    path: str
    size: int
    etag: str


@cache
def _filesystem(protocol: str, _process: int) -> Any:
    if protocol == "s3":
        from medray.s3 import S3Store  # half a second to load: only where a store is S3

        return S3Store(skip_instance_cache=True)
    return fsspec.filesystem(protocol)


def filesystem(uri: str) -> tuple[Any, str]:
    """The fsspec file system of a URI and the path in it. One file system a process, made at first use."""
    protocol, separator, rest = uri.partition("://")
    if not separator:
        path = uri if uri.startswith("/") else str(Path(uri).expanduser().absolute())
        return _filesystem("file", os.getpid()), path
    if protocol == "file":
        return _filesystem("file", os.getpid()), "/" + rest.lstrip("/")
    if protocol == "s3" and not rest.strip("/"):
        raise StorageError(f"{uri} names no bucket.", "Write s3://bucket/prefix.")
    try:
        return _filesystem(protocol, os.getpid()), rest
    except (ValueError, ImportError):
        cure = "Use s3://, file:// or a path."
        raise StorageError(f"{protocol}:// is no storage that medray can read.", cure) from None


def is_local(uri: str) -> bool:
    """Whether the URI is a path of this machine."""
    return "://" not in uri or uri.startswith("file://")


def absolute(uri: str) -> str:
    """The URI that means the same in another process: plain paths become absolute; no trailing slash."""
    return (filesystem(uri)[1] if is_local(uri) else uri).rstrip("/") or "/"


def join(uri: str, *parts: str) -> str:
    """URI of an object under a folder."""
    return "/".join([uri.rstrip("/"), *parts])


def _cause(error: BaseException) -> str:
    """The store's own error code, without the object's name."""
    response: dict[str, Any] = getattr(error, "response", None) or getattr(error.__cause__, "response", None) or {}
    code = str(response.get("Error", {}).get("Code", ""))
    return code or (os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__)


def translated(error: BaseException, where: str) -> StorageError:
    """The error of a store as one of ours. `where` is what the user typed, not an object's name."""
    cause, number = _cause(error), getattr(error, "errno", None)
    if isinstance(error, FileNotFoundError) or cause in MISSING:
        return NotFoundError(f"{where} does not exist ({cause}).", "Check the bucket, the prefix and the spelling.")
    if is_local(where) and isinstance(error, PermissionError):
        return AccessDeniedError(f"{where} may not be read or written ({cause}).", "Check who owns it, and its mode.")
    if isinstance(error, PermissionError) or cause in (*DENIED, *EXPIRED):
        return AccessDeniedError(f"{where} may not be read or written ({cause}).", CREDENTIALS_CURE)
    if number in FULL_ERRNO or cause in FULL:
        return StorageError(f"No space is left to write {where} ({cause}).", "Free some, or choose another output.")
    cure = "Check the path and the disk." if is_local(where) else "Check the network and AWS_ENDPOINT_URL."
    return StorageError(f"{where} cannot be read or written ({cause}).", cure)


@contextmanager
def translating(where: str) -> Iterator[None]:
    """Turn what a store raises into StorageError, NotFoundError or AccessDeniedError."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        if isinstance(error, OSError) or "botocore" in type(error).__module__ or "aiohttp" in type(error).__module__:
            raise translated(error, where) from None
        raise


Listing = Iterator[tuple[str, int, str]]


def _list_s3(fs: Any, path: str) -> Listing:
    bucket, _, prefix = path.partition("/")
    prefix = f"{prefix.rstrip('/')}/" if prefix else ""
    page = fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix)
    while True:
        for item in page.get("Contents", []):
            yield item["Key"][len(prefix) :], item["Size"], item["ETag"].strip('"')
        if not page.get("IsTruncated"):
            return
        token = page["NextContinuationToken"]
        page = fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, ContinuationToken=token)


def _list_folder(folder: str, prefix: str = "", above: frozenset[tuple[int, int]] = frozenset()) -> Listing:
    here = os.stat(folder)
    if (here.st_dev, here.st_ino) in above:
        return  # a link to a folder above: its objects are listed there
    above |= {(here.st_dev, here.st_ino)}
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.is_dir():
            yield from _list_folder(entry.path, f"{prefix}{entry.name}/", above)
        elif entry.is_file():
            yield f"{prefix}{entry.name}", *_size_and_tag(entry.path)


def _size_and_tag(path: str) -> tuple[int, str]:
    stat = os.stat(path)
    return stat.st_size, f"{stat.st_size:x}-{stat.st_mtime_ns:x}"


def _list_other(fs: Any, path: str) -> Listing:
    for name, item in sorted(fs.find(path, detail=True).items()):
        tag = str(item.get("ETag") or item.get("mtime") or item["size"])
        yield name[len(path.rstrip("/")) + 1 :], item["size"], tag


def list_objects(uri: str) -> Iterator[StoredObject]:
    """Every object under a URI, in a stable order, a page at a time (memory does not grow with the archive).

    The URI of one object lists that object. An empty bucket or folder lists nothing.

    Raises:
        NotFoundError: no such object or folder, or no such bucket.
    """
    fs, path = filesystem(uri)
    with translating(uri):
        if is_local(uri) and os.path.isfile(path):
            yield StoredObject(path, Path(path).name, *_size_and_tag(path))
            return
        if is_local(uri):
            listing = _list_folder(path)
        else:
            listing = _list_s3(fs, path) if uri.startswith("s3://") else _list_other(fs, path)
        root, empty = path if is_local(uri) else uri, True
        for name, size, etag in listing:
            empty = False
            if name and not name.endswith("/"):
                yield StoredObject(join(root, name), name, size, etag)
        if empty and not is_local(uri) and "/" in path.strip("/"):
            item = fs.info(path)  # no folder: one object, or nothing
            yield StoredObject(uri, path.rpartition("/")[2], item["size"], str(item.get("ETag", "")).strip('"'))


def read_bytes(uri: str, offset: int = 0, length: int | None = None) -> bytes:
    """An object's bytes, or `length` of them from `offset` (fewer where the object ends), in one request."""
    fs, path = filesystem(uri)
    with translating(uri):
        if is_local(uri):
            with open(path, "rb") as file:
                file.seek(offset)
                return file.read(-1 if length is None else length)
        return b"" if length == 0 else _read_range(fs, path, offset, None if length is None else offset + length)


def _read_range(fs: Any, path: str, start: int, end: int | None) -> bytes:
    try:
        data: bytes = fs.cat_file(path, start=start, end=end)
    except OSError as error:
        if _cause(error) == "InvalidRange":  # S3 has no empty ranges: an empty object, or a range behind the end
            return b""
        raise
    return data


def write_bytes(uri: str, data: bytes | pa.Buffer) -> None:
    """Write an object whole: readers see the old bytes or the new ones, never a part."""
    fs, path = filesystem(uri)
    with translating(uri):
        if not is_local(uri):
            fs.pipe_file(path, bytes(data))
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.partial")
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def exists(uri: str) -> bool:
    """Whether there is an object or folder at the URI."""
    fs, path = filesystem(uri)
    with translating(uri):
        return bool(fs.exists(path))


def names(uri: str) -> list[str]:
    """Names directly under a folder, sorted; empty where there is no such folder."""
    fs, path = filesystem(uri)
    with translating(uri):
        try:
            return sorted(str(name).rstrip("/").rpartition("/")[2] for name in fs.ls(path, detail=False))
        except FileNotFoundError:
            return []


def delete(uri: str) -> None:
    """Remove an object, or a folder with all below it. Nothing there is fine."""
    fs, path = filesystem(uri)
    with translating(uri):
        if fs.exists(path):
            fs.rm(path, recursive=True)


def read_json(uri: str) -> Any:
    """A JSON object; a FormatError where the bytes are none."""
    try:
        return json.loads(read_bytes(uri))
    except ValueError:
        raise FormatError(f"{uri} is no JSON file.", "Check that it is whole and the right one.") from None


def write_json(uri: str, value: Any) -> None:
    """Write a JSON object, indented, keys in the given order."""
    write_bytes(uri, (json.dumps(value, indent=2) + "\n").encode())


def read_parquet(uri: str, columns: list[str] | None = None) -> pa.Table:
    """One Parquet file as a table; a FormatError where the bytes are none."""
    try:
        return pq.read_table(pa.BufferReader(read_bytes(uri)), columns=columns)
    except pa.ArrowInvalid:
        raise FormatError(f"{uri} is no Parquet file.", "Check that it is whole and the right one.") from None


def write_parquet(uri: str, table: pa.Table, **options: Any) -> int:
    """Write one Parquet file (zstd) in one PUT; its size in bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", **options)
    buffer = sink.getvalue()
    write_bytes(uri, buffer)
    return int(buffer.size)


def arrow_filesystem(uri: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """The same store for pyarrow and Ray Train, and the path in it."""
    fs, path = filesystem(uri)
    if is_local(uri):
        return pyarrow.fs.LocalFileSystem(), path
    return pyarrow.fs.PyFileSystem(pyarrow.fs.FSSpecHandler(fs)), path
